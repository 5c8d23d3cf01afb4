package msk.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.regex.Pattern;

/**
 * IAM policies of roles: {@code {"ROLE ARN": [{"Effect": "Allow", "Action": [...], "Resource": [...]}]}}.
 * Deny wins, nothing matched means no. Wildcards are {@code *} and {@code ?}.
 */
final class IamPolicy {
    /** The test bed's one cluster; the account and the unique id mean nothing. */
    static final String CLUSTER = "msk-e2e/00000000-0000-0000-0000-000000000000-1";

    private IamPolicy() {}

    /** Whether a principal is an IAM role, and so subject to policies; others have what Kafka gives them. */
    static boolean isRole(String principal) {
        return principal.startsWith("arn:aws");
    }

    static void requireConnect(String principal) throws Refusal {
        if (!allows(principal, "kafka-cluster:Connect", resource("cluster", null))) {
            throw new Refusal("connect_denied", "no policy of " + principal + " allows kafka-cluster:Connect");
        }
    }

    /** The ARN of a topic, group or transactional id, or of the cluster when {@code name} is null. */
    static String resource(String kind, String name) {
        return "arn:aws:kafka:" + BrokerSettings.get().region + ":123456789012:" + kind + "/" + CLUSTER
                + (name == null ? "" : "/" + name);
    }

    static boolean allows(String principal, String action, String resource) {
        var allowed = false;
        var statements = BrokerSettings.get().policyOf(principal);
        if (statements == null) {
            return false;
        }
        for (var statement : statements) {
            if (matches(statement.path("Action"), action) && matches(statement.path("Resource"), resource)) {
                if (statement.path("Effect").asText().equals("Deny")) {
                    return false;
                }
                allowed = true;
            }
        }
        return allowed;
    }

    private static boolean matches(JsonNode patterns, String text) {
        if (patterns.isTextual()) {
            return matches(patterns.asText(), text);
        }
        for (var pattern : patterns) {
            if (matches(pattern.asText(), text)) {
                return true;
            }
        }
        return false;
    }

    private static boolean matches(String pattern, String text) {
        var regex = new StringBuilder();
        for (var c : pattern.toCharArray()) {
            regex.append(c == '*' ? ".*" : c == '?' ? "." : Pattern.quote(String.valueOf(c)));
        }
        return text.matches(regex.toString());
    }
}
