package msk.e2e;

import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Base64;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A verified MSK IAM token. A token is a presigned URL in base64url: the same bytes a client would send to
 * {@code kafka.REGION.amazonaws.com}, signed with SigV4. Each rule has a name of its own in {@link Refusal}.
 */
record IamToken(String principal, String accessKey, long signedAtMs, long expiresAtMs) {
    private static final String ALGORITHM = "AWS4-HMAC-SHA256";
    private static final long MAX_LIFE_S = 900;
    /** AWS accepts clocks up to five minutes ahead. */
    private static final long MAX_SKEW_MS = 5 * 60 * 1000;
    private static final DateTimeFormatter AMZ_DATE = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'");

    private static final Set<String> REQUIRED = Set.of(
            "Action", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
            "X-Amz-Signature");
    /** Signers append User-Agent after signing; the session token belongs to temporary credentials. */
    private static final Set<String> OPTIONAL = Set.of("X-Amz-Security-Token", "User-Agent");

    static IamToken verify(String token, BrokerSettings settings) throws Refusal {
        var uri = parseUrl(decode(token));
        var parameters = parameters(uri);
        check(uri.getHost().equals(hostOf(settings.region)), "host", "the host is not " + hostOf(settings.region));
        check(parameters.get("Action").equals("kafka-cluster:Connect"), "action", "Action is not kafka-cluster:Connect");
        check(parameters.get("X-Amz-Algorithm").equals(ALGORITHM), "algorithm", "X-Amz-Algorithm is not " + ALGORITHM);
        check(parameters.get("X-Amz-SignedHeaders").equals("host"), "signed_headers", "X-Amz-SignedHeaders is not host");
        var lifeS = life(parameters.get("X-Amz-Expires"));
        var signedAtMs = date(parameters.get("X-Amz-Date"));
        var scope = scope(parameters.get("X-Amz-Credential"), parameters.get("X-Amz-Date"), settings.region);
        var expiresAtMs = signedAtMs + lifeS * 1000;
        var nowMs = settings.nowMs();
        check(signedAtMs <= nowMs + MAX_SKEW_MS, "date_future", "X-Amz-Date is more than 5 minutes ahead");
        check(expiresAtMs > nowMs, "expired", "the token expired " + (nowMs - expiresAtMs) + " ms ago");
        var key = settings.key(scope[0]);
        check(key != null, "access_key", "the access key is unknown");
        checkSessionToken(key, parameters.get("X-Amz-Security-Token"));
        var signature = SigV4.signature(uri, parameters, key.secret(), scope, parameters.get("X-Amz-Date"));
        check(SigV4.equal(signature, parameters.get("X-Amz-Signature")), "signature", "the signature does not match");
        return new IamToken(key.principal(), scope[0], signedAtMs, expiresAtMs);
    }

    private static String decode(String token) throws Refusal {
        check(token.indexOf('=') < 0, "encoding", "the token has base64 padding");
        try {
            return new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw new Refusal("encoding", "the token is not base64url");
        }
    }

    private static URI parseUrl(String text) throws Refusal {
        URI uri;
        try {
            uri = new URI(text);
        } catch (URISyntaxException e) {
            throw new Refusal("url", "the token is not a URL");
        }
        check(uri.getHost() != null && uri.getRawQuery() != null, "url", "the URL has no host or no query");
        check(uri.getRawUserInfo() == null && uri.getRawFragment() == null && uri.getPort() == -1,
                "url", "the URL has a user, a port or a fragment");
        check("https".equals(uri.getScheme()), "scheme", "the scheme is not https");
        check("/".equals(uri.getRawPath()), "path", "the path is not /");
        return uri;
    }

    private static Map<String, String> parameters(URI uri) throws Refusal {
        var parameters = new TreeMap<String, String>();
        for (var pair : uri.getRawQuery().split("&", -1)) {
            var parts = pair.split("=", 2);
            check(parts.length == 2, "parameter_format", "a query parameter has no value");
            var name = URLDecoder.decode(parts[0], StandardCharsets.UTF_8);
            check(REQUIRED.contains(name) || OPTIONAL.contains(name), "unknown_parameter", "an unknown query parameter");
            var value = URLDecoder.decode(parts[1], StandardCharsets.UTF_8);
            check(parameters.put(name, value) == null, "duplicate_parameter", name + " stands there twice");
        }
        for (var name : REQUIRED) {
            check(parameters.containsKey(name), "missing_parameter", name + " is missing");
        }
        return parameters;
    }

    private static long life(String text) throws Refusal {
        long seconds;
        try {
            seconds = Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new Refusal("expires", "X-Amz-Expires is not a number");
        }
        check(seconds >= 1 && seconds <= MAX_LIFE_S, "expires", "X-Amz-Expires is not within 1 and " + MAX_LIFE_S);
        return seconds;
    }

    private static long date(String text) throws Refusal {
        try {
            return LocalDateTime.parse(text, AMZ_DATE).toInstant(ZoneOffset.UTC).toEpochMilli();
        } catch (DateTimeParseException e) {
            throw new Refusal("date_format", "X-Amz-Date is not like 20260101T000000Z");
        }
    }

    /** Access key, date, region, service, terminator. */
    private static String[] scope(String credential, String date, String region) throws Refusal {
        var parts = credential.split("/", -1);
        check(parts.length == 5 && !parts[0].isEmpty(), "scope_format", "X-Amz-Credential has not five parts");
        check(parts[1].equals(date.substring(0, 8)), "scope_date", "the scope's date is not X-Amz-Date's");
        check(parts[2].equals(region), "scope_region", "the scope's region is not " + region);
        check(parts[3].equals("kafka-cluster"), "scope_service", "the scope's service is not kafka-cluster");
        check(parts[4].equals("aws4_request"), "scope_terminator", "the scope does not end in aws4_request");
        return parts;
    }

    private static void checkSessionToken(IamKey key, String given) throws Refusal {
        if (key.sessionToken() == null) {
            check(given == null, "session_token", "a session token with a long-lived access key");
        } else {
            var equal = given != null && SigV4.equal(key.sessionToken(), given);
            check(equal, "session_token", "the session token is missing or not the access key's");
        }
    }

    private static String hostOf(String region) {
        return "kafka." + region + (region.startsWith("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com");
    }

    /** A rule that a test has switched off, to show that it would be missed. */
    private static final String SKIPPED_RULE = System.getProperty("msk.e2e.skipped-rule", "");

    private static void check(boolean holds, String rule, String detail) throws Refusal {
        if (!holds && !rule.equals(SKIPPED_RULE)) {
            throw new Refusal(rule, detail);
        }
    }

    Instant expiresAt() {
        return Instant.ofEpochMilli(expiresAtMs);
    }
}
