package msk.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * The settings that the test bed gives its brokers, as system properties: JAAS options would do for the handler, but Kafka's default
 * login handler refuses unknown ones.
 */
final class BrokerSettings {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static final BrokerSettings INSTANCE = new BrokerSettings();

    /** The AWS region the brokers pretend to be in. */
    final String region = required("msk.e2e.region");

    private final WatchedFile<Map<String, IamKey>> keys =
            new WatchedFile<>(file("msk.e2e.credentials"), BrokerSettings::parseKeys);
    private final WatchedFile<JsonNode> policies =
            new WatchedFile<>(file("msk.e2e.policies"), BrokerSettings::parseObject);
    private final WatchedFile<Long> clockOffset = new WatchedFile<>(
            file("msk.e2e.clock-offset"),
            content -> Long.parseLong(new String(content, StandardCharsets.UTF_8).strip()));

    static BrokerSettings get() {
        return INSTANCE;
    }

    IamKey key(String accessKey) {
        return keys.get().get(accessKey);
    }

    JsonNode policyOf(String principal) {
        return policies.get().get(principal);
    }

    /** The wall clock that tokens are verified by: tests move it together with a frozen function's clock. */
    long nowMs() {
        return System.currentTimeMillis() + clockOffset.get();
    }

    /** An empty file is no object, and an error: an editor may empty it before it writes. */
    private static ObjectNode parseObject(byte[] content) throws java.io.IOException {
        return JSON.readValue(content, ObjectNode.class);
    }

    private static Map<String, IamKey> parseKeys(byte[] content) throws java.io.IOException {
        var keys = new HashMap<String, IamKey>();
        for (var entry : parseObject(content).properties()) {
            var key = entry.getValue();
            var session = key.path("session_token");
            keys.put(entry.getKey(), new IamKey(
                    key.path("secret").asText(), session.isTextual() ? session.asText() : null, key.path("principal").asText()));
        }
        return keys;
    }

    private static Path file(String name) {
        var path = Path.of(required(name));
        if (!Files.exists(path)) {
            throw new IllegalStateException("system property " + name + " names no file: " + path);
        }
        return path;
    }

    private static String required(String name) {
        var value = System.getProperty(name);
        if (value == null) {
            throw new IllegalStateException("system property " + name + " is missing");
        }
        return value;
    }
}
