package msk.e2e;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.apache.kafka.common.Endpoint;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.server.authorizer.AclCreateResult;
import org.apache.kafka.server.authorizer.AclDeleteResult;
import org.apache.kafka.server.authorizer.Action;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.authorizer.AuthorizationResult;
import org.apache.kafka.server.authorizer.Authorizer;
import org.apache.kafka.server.authorizer.AuthorizerServerInfo;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Kafka operations authorized by IAM policies, as MSK does. Differs from Kafka's own authorizer where MSK does: writing
 * implies no describing, and a producer id needs {@code WriteDataIdempotently} whatever topics may be written.
 */
public final class IamAuthorizer implements Authorizer {
    private static final Logger LOG = LoggerFactory.getLogger(IamAuthorizer.class);

    @Override
    public void configure(Map<String, ?> configs) {}

    @Override
    public Map<Endpoint, ? extends CompletionStage<Void>> start(AuthorizerServerInfo serverInfo) {
        var ready = new java.util.HashMap<Endpoint, CompletionStage<Void>>();
        serverInfo.endpoints().forEach(endpoint -> ready.put(endpoint, CompletableFuture.completedFuture(null)));
        return ready;
    }

    @Override
    public List<AuthorizationResult> authorize(AuthorizableRequestContext context, List<Action> actions) {
        var results = new ArrayList<AuthorizationResult>(actions.size());
        for (var action : actions) {
            results.add(authorize(context, action) ? AuthorizationResult.ALLOWED : AuthorizationResult.DENIED);
        }
        return results;
    }

    /** Kafka asks this way whether a principal may write any topic, as an alternative to IdempotentWrite. */
    @Override
    public AuthorizationResult authorizeByResourceType(
            AuthorizableRequestContext context, AclOperation operation, ResourceType type) {
        return IamPolicy.isRole(context.principal().getName()) ? AuthorizationResult.DENIED : AuthorizationResult.ALLOWED;
    }

    private static boolean authorize(AuthorizableRequestContext context, Action action) {
        var principal = context.principal().getName();
        if (!IamPolicy.isRole(principal)) {
            return true;
        }
        var pattern = action.resourcePattern();
        var name = iamAction(pattern.resourceType(), action.operation());
        var resource = resource(pattern.resourceType(), pattern.name());
        var allowed = name != null && IamPolicy.allows(principal, "kafka-cluster:" + name, resource);
        if (!allowed && action.logIfDenied()) {
            LOG.info("MSK IAM denied: principal={} action={} resource={}", principal, name, resource);
        }
        return allowed;
    }

    private static String resource(ResourceType type, String name) {
        return switch (type) {
            case TOPIC -> IamPolicy.resource("topic", name);
            case GROUP -> IamPolicy.resource("group", name);
            case TRANSACTIONAL_ID -> IamPolicy.resource("transactional-id", name);
            default -> IamPolicy.resource("cluster", null);
        };
    }

    /** MSK's table of actions; null where MSK has none, which denies. */
    private static String iamAction(ResourceType type, AclOperation operation) {
        return switch (type) {
            case TOPIC -> switch (operation) {
                case DESCRIBE -> "DescribeTopic";
                case READ -> "ReadData";
                case WRITE -> "WriteData";
                case CREATE -> "CreateTopic";
                case DELETE -> "DeleteTopic";
                case ALTER -> "AlterTopic";
                case DESCRIBE_CONFIGS -> "DescribeTopicDynamicConfiguration";
                case ALTER_CONFIGS -> "AlterTopicDynamicConfiguration";
                default -> null;
            };
            case GROUP -> switch (operation) {
                case DESCRIBE -> "DescribeGroup";
                case READ -> "AlterGroup";
                case DELETE -> "DeleteGroup";
                default -> null;
            };
            case TRANSACTIONAL_ID -> switch (operation) {
                case DESCRIBE -> "DescribeTransactionalId";
                case WRITE -> "AlterTransactionalId";
                default -> null;
            };
            case CLUSTER -> switch (operation) {
                case IDEMPOTENT_WRITE -> "WriteDataIdempotently";
                case DESCRIBE -> "DescribeCluster";
                case ALTER -> "AlterCluster";
                case DESCRIBE_CONFIGS -> "DescribeClusterDynamicConfiguration";
                case ALTER_CONFIGS -> "AlterClusterDynamicConfiguration";
                default -> null;
            };
            default -> null;
        };
    }

    @Override
    public List<? extends CompletionStage<AclCreateResult>> createAcls(
            AuthorizableRequestContext context, List<AclBinding> bindings) {
        throw new UnsupportedOperationException("the test bed's permissions are IAM policies");
    }

    @Override
    public List<? extends CompletionStage<AclDeleteResult>> deleteAcls(
            AuthorizableRequestContext context, List<AclBindingFilter> filters) {
        throw new UnsupportedOperationException("the test bed's permissions are IAM policies");
    }

    @Override
    public Iterable<AclBinding> acls(AclBindingFilter filter) {
        throw new UnsupportedOperationException("the test bed's permissions are IAM policies");
    }

    @Override
    public void close() {}
}
