# Exactly what each role may do. tests/policies.py goes further: it evaluates the rendered policies.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
  topics                 = { orders = {}, audit = { consumed = false }, inbound = { produced = false } }
}

run "producer_role_exact_actions" {
  command = plan

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_iam_role_policy.producer.policy).Statement : statement.Sid => sort(flatten([statement.Action])) if !startswith(flatten([statement.Action])[0], "ec2:") }) == jsonencode({
      ConnectAndWriteOnce  = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"]
      WriteTheListedTopics = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"]
      Traces               = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      OwnLogGroup          = ["logs:CreateLogStream", "logs:PutLogEvents"]
    })
    error_message = "The producer's actions must be exactly these."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.producer.policy).Statement : jsonencode(statement.Resource) if statement.Sid == "WriteTheListedTopics"][0] == jsonencode([
      "arn:aws:kafka:us-east-1:123456789012:topic/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1/audit",
      "arn:aws:kafka:us-east-1:123456789012:topic/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1/orders",
    ])
    error_message = "The producer may write the produced topics, by their full names, and no other."
  }
}

run "consumer_role_exact_actions" {
  command = plan

  assert {
    condition = jsonencode({ for statement in jsondecode(module.consumer["consumer"].policy).Statement : statement.Sid => sort(flatten([statement.Action])) if !startswith(flatten([statement.Action])[0], "ec2:") }) == jsonencode({
      MappingFindsTheBrokers = ["kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"]
      Connect                = ["kafka-cluster:Connect", "kafka-cluster:DescribeClusterDynamicConfiguration", "kafka-cluster:WriteDataIdempotently"]
      ReadTheConsumedTopics  = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData"]
      OwnConsumerGroups      = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
      WriteTheDeadLetters    = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"]
      Traces                 = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      OwnLogGroup            = ["logs:CreateLogStream", "logs:PutLogEvents"]
    })
    error_message = "The consumer's actions must be exactly these."
  }
  assert {
    condition     = alltrue([for statement in jsondecode(module.consumer["consumer"].policy).Statement : alltrue([for resource in flatten([statement.Resource]) : endswith(resource, ".dlq")]) if contains(flatten([statement.Action]), "kafka-cluster:WriteData")])
    error_message = "The consumer may write dead letters only."
  }
  assert {
    condition     = [for statement in jsondecode(module.consumer["consumer"].policy).Statement : jsonencode(statement.Resource) if statement.Sid == "OwnConsumerGroups"][0] == jsonencode(["arn:aws:kafka:us-east-1:123456789012:group/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1/msk-ha-cluster-inbound", "arn:aws:kafka:us-east-1:123456789012:group/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1/msk-ha-cluster-orders"])
    error_message = "The consumer may use its own groups only."
  }
}

run "bastion_moves_partitions_of_this_cluster_only" {
  command = plan

  assert {
    # kafka-reassign-partitions.sh and kafka-leader-election.sh need Alter on the cluster, --throttle AlterConfigs too:
    # https://docs.aws.amazon.com/msk/latest/developerguide/kafka-actions.html
    condition = jsonencode([for statement in jsondecode(aws_iam_role_policy.bastion_kafka[0].policy).Statement : statement if anytrue([for action in statement.Action : can(regex("Cluster", action))])]) == jsonencode([{
      Action = [
        "kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:AlterCluster",
        "kafka-cluster:DescribeClusterDynamicConfiguration", "kafka-cluster:AlterClusterDynamicConfiguration",
        "kafka-cluster:WriteDataIdempotently",
      ]
      Effect   = "Allow"
      Resource = "arn:aws:kafka:us-east-1:123456789012:cluster/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1"
      Sid      = "Cluster"
    }])
    error_message = "The guides move partitions and leaders from the bastion, of this cluster and no other."
  }
}

run "no_action_and_no_resource_for_everything" {
  command = plan

  assert {
    condition = alltrue(flatten([for policy in [aws_iam_role_policy.producer.policy, module.consumer["consumer"].policy, aws_iam_role_policy.bastion_kafka[0].policy, aws_iam_role_policy.bastion_session_manager[0].policy, aws_iam_role_policy.flow_log[0].policy] :
    [for statement in jsondecode(policy).Statement : [for action in flatten([statement.Action]) : !strcontains(action, "*")]]]))
    error_message = "No action may contain a star."
  }
  assert {
    condition = alltrue(flatten([for policy in [aws_iam_role_policy.producer.policy, module.consumer["consumer"].policy, aws_iam_role_policy.bastion_kafka[0].policy, aws_iam_role_policy.flow_log[0].policy] :
    [for statement in jsondecode(policy).Statement : alltrue([for action in flatten([statement.Action]) : can(regex("^(ec2:(Create|Delete|Describe)|xray:Put|logs:DescribeLogGroups$)", action))]) if contains(flatten([statement.Resource]), "*")]]))
    error_message = "Only network interfaces, traces and the list of log groups, which AWS checks without a resource, may say Resource *."
  }
}

run "functions_code_cannot_use_lambdas_own_rights" {
  command = plan

  assert {
    condition = alltrue([for policy in [aws_iam_role_policy.producer.policy, module.consumer["consumer"].policy] :
    length([for statement in jsondecode(policy).Statement : statement if statement.Effect == "Deny" && contains(statement.Action, "ec2:CreateNetworkInterface") && can(statement.Condition.ArnEquals["lambda:SourceFunctionArn"])]) == 1])
    error_message = "Code inside a function must not make network interfaces."
  }
}

run "boundary_on_every_role" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    enable_managed_grafana   = true
  }

  assert {
    condition     = alltrue([for role in [aws_iam_role.producer, module.consumer["consumer"].role, aws_iam_role.bastion[0], aws_iam_role.flow_log[0], aws_iam_role.grafana[0]] : role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"])
    error_message = "Every role must carry the boundary."
  }
}

run "key_serves_this_account_only" {
  command = plan

  assert {
    condition     = alltrue([for statement in concat(jsondecode(aws_kms_key.this.policy).Statement, jsondecode(aws_kms_key.alarms.policy).Statement) : can(statement.Principal.AWS) ? statement.Principal.AWS == "arn:aws:iam::123456789012:root" : can(statement.Condition) || statement.Principal.Service == "events.amazonaws.com"])
    error_message = "The key belongs to the account; services get it under a condition, but EventBridge, which supports none."
  }
}

run "other_partitions_get_their_own_names" {
  command = plan

  variables {
    region          = "cn-north-1"
    metrics_backend = "none"
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = strcontains(aws_iam_role_policy.bastion_session_manager[0].policy, "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/kafka-ui/")
    error_message = "ARNs must be in the account's partition."
  }
  assert {
    condition     = strcontains(aws_kms_key.this.policy, "logs.cn-north-1.amazonaws.com.cn") && strcontains(aws_iam_role.bastion[0].assume_role_policy, "ec2.amazonaws.com.cn") && !strcontains(aws_iam_role_policy.producer.policy, "arn:aws:lambda")
    error_message = "Service principals must be in the account's partition."
  }
}
