package msk.e2e;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** Judges the tokens on standard input, one a line, without a broker: prints {@code ok PRINCIPAL} or the broken rule. */
public final class VerifyTokens {
    private VerifyTokens() {}

    public static void main(String[] arguments) throws IOException {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (var token = input.readLine(); token != null; token = input.readLine()) {
            System.out.println(verdict(token));
        }
    }

    private static String verdict(String token) {
        try {
            return "ok " + IamToken.verify(token, BrokerSettings.get()).principal();
        } catch (Refusal refusal) {
            return refusal.rule;
        }
    }
}
