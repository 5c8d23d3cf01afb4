package msk.e2e;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** AWS Signature Version 4 of a presigned GET request, as the AWS General Reference describes it. */
final class SigV4 {
    private SigV4() {}

    /** The signature of a GET request to {@code uri}, whose decoded query is {@code parameters}. */
    static String signature(URI uri, Map<String, String> parameters, String secret, String[] scope, String date) {
        var signed = new TreeMap<>(parameters);
        signed.remove("X-Amz-Signature");
        signed.remove("User-Agent");
        var query = signed.entrySet().stream()
                .map(entry -> encode(entry.getKey()) + "=" + encode(entry.getValue()))
                .collect(Collectors.joining("&"));
        var request = String.join("\n", "GET", uri.getRawPath(), query, "host:" + uri.getHost(), "", "host", hex(sha256("")));
        var scopeText = String.join("/", scope[1], scope[2], scope[3], scope[4]);
        var toSign = String.join("\n", "AWS4-HMAC-SHA256", date, scopeText, hex(sha256(request)));
        var key = ("AWS4" + secret).getBytes(StandardCharsets.UTF_8);
        for (var part = 1; part < scope.length; part++) {
            key = hmac(key, scope[part]);
        }
        return hex(hmac(key, toSign));
    }

    /** Compares without telling by its duration how much was equal. */
    static boolean equal(String expected, String given) {
        return MessageDigest.isEqual(
                expected.getBytes(StandardCharsets.UTF_8), given.getBytes(StandardCharsets.UTF_8));
    }

    private static String encode(String text) {
        var encoded = new StringBuilder();
        for (var b : text.getBytes(StandardCharsets.UTF_8)) {
            var c = (char) (b & 0xff);
            if (c < 128 && (Character.isLetterOrDigit(c) || "-_.~".indexOf(c) >= 0)) {
                encoded.append(c);
            } else {
                encoded.append('%').append(String.format("%02X", (int) c));
            }
        }
        return encoded.toString();
    }

    private static byte[] sha256(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] hmac(byte[] key, String text) {
        try {
            var mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }
}
