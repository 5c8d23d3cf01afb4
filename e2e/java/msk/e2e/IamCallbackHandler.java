package msk.e2e;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Accepts MSK IAM tokens on a SASL/OAUTHBEARER listener, by MSK's rules; logs the rule that a refused one broke. */
public final class IamCallbackHandler implements AuthenticateCallbackHandler {
    private static final Logger LOG = LoggerFactory.getLogger(IamCallbackHandler.class);

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaasEntries) {
        // Fails the broker's start when the test bed's files are missing, rather than every connection later.
        BrokerSettings.get();
    }

    @Override
    public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
        for (var callback : callbacks) {
            if (callback instanceof OAuthBearerValidatorCallback validation) {
                validate(validation);
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    private static void validate(OAuthBearerValidatorCallback callback) {
        try {
            var token = IamToken.verify(callback.tokenValue(), BrokerSettings.get());
            IamPolicy.requireConnect(token.principal());
            LOG.info("MSK IAM token accepted: principal={} expires={}", token.principal(), token.expiresAt());
            callback.token(new Accepted(callback.tokenValue(), token));
        } catch (Refusal refusal) {
            LOG.info("MSK IAM token refused: rule={} detail={}", refusal.rule, refusal.getMessage());
            callback.error("invalid_token", null, null);
        }
    }

    @Override
    public void close() {}

    private record Accepted(String value, IamToken token) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public long lifetimeMs() {
            return token.expiresAtMs();
        }

        @Override
        public String principalName() {
            return token.principal();
        }

        @Override
        public Long startTimeMs() {
            return token.signedAtMs();
        }
    }
}
