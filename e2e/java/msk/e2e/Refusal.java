package msk.e2e;

/** Why a token was refused: a stable rule name for tests and logs, and a sentence without secrets. */
final class Refusal extends Exception {
    private static final long serialVersionUID = 1L;

    final String rule;

    Refusal(String rule, String detail) {
        super(detail, null, false, false);
        this.rule = rule;
    }
}
