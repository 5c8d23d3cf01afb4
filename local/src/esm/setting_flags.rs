//! The flag that sets a member of the configuration: errors name both, for those who wrote a file and those who gave flags.

/// Members of the configuration and their flags. A test of the command line holds them to what it takes.
pub const FLAGS: &[(&str, &str)] = &[
    ("FunctionName", "--function-name"),
    ("Topics", "--topics"),
    ("EventSourceArn", "--event-source-arn"),
    ("SelfManagedEventSource", "--self-managed-event-source"),
    ("SourceAccessConfigurations", "--source-access-configurations"),
    ("BatchSize", "--batch-size"),
    ("MaximumBatchingWindowInSeconds", "--maximum-batching-window-in-seconds"),
    ("StartingPosition", "--starting-position"),
    ("StartingPositionTimestamp", "--starting-position-timestamp"),
    ("AmazonManagedKafkaEventSourceConfig", "--amazon-managed-kafka-event-source-config"),
    ("ConsumerGroupId", "--consumer-group-id"),
    ("SelfManagedKafkaEventSourceConfig.ConsumerGroupId", "--consumer-group-id"),
    ("SelfManagedKafkaEventSourceConfig", "--self-managed-kafka-event-source-config"),
    ("FilterCriteria", "--filter-criteria"),
    ("FunctionResponseTypes", "--function-response-types"),
    ("MaximumRetryAttempts", "--maximum-retry-attempts"),
    ("MaximumRecordAgeInSeconds", "--maximum-record-age-in-seconds"),
    ("BisectBatchOnFunctionError", "--bisect-batch-on-function-error"),
    ("DestinationConfig", "--destination-config"),
    ("DestinationConfig.OnFailure.Destination", "--on-failure-destination"),
    ("ProvisionedPollerConfig", "--provisioned-poller-config"),
    ("ProvisionedPollerConfig.MinimumPollers", "--minimum-pollers"),
    ("Local.invokeUrl", "--invoke-url"),
    ("Local.caFile", "--ca"),
    ("Local.maxConcurrency", "--max-concurrency"),
    ("Local.bootstrapServers", "--bootstrap-servers"),
    ("Local.schemaRegistryUrl", "--schema-registry-url"),
    ("Local.kafkaOptions", "--kafka-option"),
    ("Local.secrets", "--secret"),
    ("Local.functionTimeoutSeconds", "--function-timeout"),
    ("Local.firstInvocationTimeoutSeconds", "--first-invocation-timeout"),
    ("Local.startupGraceSeconds", "--startup-grace"),
    ("Local.retryBackoffSeconds", "--retry-backoff"),
    ("Local.maxRetryBackoffSeconds", "--max-retry-backoff"),
    ("Local.partialBatchSemantics", "--partial-batch-semantics"),
    ("Local.singlePartitionBatches", "--single-partition-batches"),
    ("Local.destinationFolder", "--destination-folder"),
    ("Local.metricsPort", "--metrics-port"),
    ("Local.systemLog", "--system-log"),
    ("Local.chaos.seed", "--chaos"),
    ("Local.chaos.duplicatePercent", "--chaos-duplicate"),
    ("Local.chaos.rebalancePercent", "--chaos-rebalance"),
    ("Local.chaos.lostCommitPercent", "--chaos-lost-commit"),
    ("Local.chaos.throttlePercent", "--chaos-throttle"),
    ("Local.chaos.timeoutPercent", "--chaos-timeout"),
    ("Local.chaos.lostResponsePercent", "--chaos-lost-response"),
];

/// The member with its flag, or that of the block it is in: `BatchSize (--batch-size)`; the member alone if it has none.
pub(super) fn setting(member: &str) -> String {
    let mut name = member;
    loop {
        if let Some((_, flag)) = FLAGS.iter().find(|(known, _)| *known == name) {
            return format!("{member} ({flag})");
        }
        let Some((block, _)) = name.rsplit_once('.') else { return member.to_owned() };
        name = block;
    }
}
