# Who reaches the brokers by which name, and what other clients, browsers and failed batches may do.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

# ----------------------------------------------------------------------------
# Bootstrap servers
# ----------------------------------------------------------------------------

# MSK answers with any three brokers, other ones each time.
run "bootstrap_servers_stay_above_three_brokers" {
  command = plan

  variables {
    broker_count    = 6
    metrics_backend = "bastion"
  }

  override_resource {
    target          = aws_msk_cluster.this
    override_during = plan
    values          = { bootstrap_brokers_sasl_iam = "b-5.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com:9098,b-2.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com:9098,b-6.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com:9098" }
  }

  assert {
    condition     = aws_lambda_function.producer.environment[0].variables.KAFKA_BOOTSTRAP_SERVERS == "b-1.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com:9098,b-2.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com:9098,b-3.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com:9098"
    error_message = "The string must follow from the brokers' names, not from which of them MSK names today: every plan would change the functions and replace the bastion."
  }
  assert {
    condition     = module.consumer["consumer"].function.environment[0].variables.KAFKA_BOOTSTRAP_SERVERS == output.bootstrap_brokers_sasl_iam && strcontains(local.bastion_setup, "BOOTSTRAP_SERVERS=\"${output.bootstrap_brokers_sasl_iam}\"") && strcontains(local.bastion_setup, "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS=${output.bootstrap_brokers_sasl_iam}\n")
    error_message = "Consumer, bastion and output must have the same string."
  }
  assert {
    condition     = strcontains(local.bastion_prometheus_script, "b-6.orders.a1b2c3.c2.kafka.us-east-1.amazonaws.com") && !strcontains(local.bastion_prometheus_script, "b-7.")
    error_message = "All six brokers must be scraped."
  }
}

# ----------------------------------------------------------------------------
# Clients without IAM
# ----------------------------------------------------------------------------

run "scram_clients_need_acls" {
  command = plan

  variables {
    client_authentication = { scram = true }
  }

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this[0].server_properties), "allow.everyone.if.no.acl.found=false")
    error_message = "Without it every SCRAM user may read, write and delete every topic: MSK's default is true."
  }
  assert {
    condition     = output.bootstrap_brokers_sasl_scram == "b-1.msk.kafka.us-east-1.amazonaws.com:9096,b-2.msk.kafka.us-east-1.amazonaws.com:9096,b-3.msk.kafka.us-east-1.amazonaws.com:9096" && output.bootstrap_brokers_tls == null
    error_message = "SCRAM clients need their own port."
  }
}

run "tls_clients_need_acls" {
  command = plan

  variables {
    broker_type           = "express"
    client_authentication = { certificate_authority_arns = ["arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/00000000-1111-2222-3333-444444444444"] }
  }

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this[0].server_properties), "allow.everyone.if.no.acl.found=false")
    error_message = "Without it every certificate of the authority may read, write and delete every topic, on Express brokers too."
  }
  assert {
    condition     = output.bootstrap_brokers_tls == "b-1.msk.kafka.us-east-1.amazonaws.com:9094,b-2.msk.kafka.us-east-1.amazonaws.com:9094,b-3.msk.kafka.us-east-1.amazonaws.com:9094"
    error_message = "Clients with certificates need their own port."
  }
}

run "iam_alone_leaves_acls_alone" {
  command = plan

  assert {
    condition     = !strcontains(aws_msk_configuration.this[0].server_properties, "allow.everyone")
    error_message = "IAM decides by itself; the setting would only start a rolling restart."
  }
}

run "everybody_without_an_acl" {
  command = plan

  variables {
    client_authentication = { scram = true }
    server_properties     = { "allow.everyone.if.no.acl.found" = "TRUE" }
  }

  expect_failures = [var.server_properties]
}

# ----------------------------------------------------------------------------
# Kafka-UI
# ----------------------------------------------------------------------------

run "kafka_ui_has_a_login_and_changes_nothing" {
  command = plan

  assert {
    condition     = strcontains(local.bastion_setup, "\nAUTH_TYPE=LOGIN_FORM\n") && strcontains(local.bastion_setup, "\nSPRING_SECURITY_USER_PASSWORD=$kafka_ui_password\n") && strcontains(local.bastion_setup, "\nSERVER_REACTIVE_SESSION_COOKIE_SAMESITE=strict\n")
    error_message = "Kafka-UI answers any page's requests: without a login any page in the operator's browser could use it."
  }
  assert {
    condition     = strcontains(local.bastion_setup, "\nKAFKA_CLUSTERS_0_READONLY=true\n")
    error_message = "Whoever looks must not change by accident."
  }
  assert {
    condition     = output.kafka_ui_password_command == "aws ssm get-parameter --region us-east-1 --name /kafka-ui/msk-ha-cluster/password --with-decryption --query Parameter.Value --output text" && strcontains(local.bastion_setup, "--name \"/kafka-ui/msk-ha-cluster/password\"")
    error_message = "The command must print what the bastion has kept."
  }
}

run "the_bastion_reads_no_parameter" {
  command = plan

  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_iam_role_policy.bastion_session_manager[0].policy).Statement : [for action in statement.Action : action if startswith(action, "ssm:")]])) == toset(["ssm:UpdateInstanceInformation", "ssm:PutParameter"])
    error_message = "Whoever opens a session holds the bastion's role: it must not read the account's parameters."
  }
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.bastion_session_manager[0].policy).Statement : statement.Resource if contains(statement.Action, "ssm:PutParameter")] == ["arn:aws:ssm:us-east-1:123456789012:parameter/kafka-ui/msk-ha-cluster/password"]
    error_message = "The bastion writes one parameter, Kafka-UI's password."
  }
}

run "shells_on_the_bastion_are_logged" {
  command = plan

  assert {
    condition     = jsondecode(aws_ssm_document.session[0].content).inputs.cloudWatchLogGroupName == aws_cloudwatch_log_group.this["sessions"].name && aws_cloudwatch_log_group.this["sessions"].kms_key_id == aws_kms_key.this.arn && jsondecode(aws_ssm_document.session[0].content).inputs.cloudWatchEncryptionEnabled && jsondecode(aws_ssm_document.session[0].content).inputs.cloudWatchStreamingEnabled
    error_message = "Whoever opens a shell on the bastion administers the cluster: what they type must be kept, encrypted, while they type."
  }
  assert {
    condition     = aws_ssm_document.session[0].document_type == "Session" && jsondecode(aws_ssm_document.session[0].content).sessionType == "Standard_Stream" && tonumber(jsondecode(aws_ssm_document.session[0].content).inputs.idleSessionTimeout) <= 20
    error_message = "A shell that is left open must end."
  }
  assert {
    condition = jsonencode([for statement in jsondecode(aws_iam_role_policy.bastion_session_manager[0].policy).Statement : [statement.Action, statement.Resource] if alltrue([for action in statement.Action : startswith(action, "logs:")])]) == jsonencode([
      [["logs:DescribeLogGroups"], "*"],
      [["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], "${aws_cloudwatch_log_group.this["sessions"].arn}:*"],
    ])
    error_message = "The agent writes with the bastion's rights, into the log of sessions and no other."
  }
  assert {
    condition     = strcontains(output.bastion_session_command, "--document-name bastion-msk-ha-cluster")
    error_message = "The command that is handed out must open the shell that is logged."
  }
}

run "kafka_ui_may_write_when_asked" {
  command = plan

  variables {
    bastion = { kafka_ui_read_only = false }
  }

  assert {
    condition     = strcontains(local.bastion_setup, "\nKAFKA_CLUSTERS_0_READONLY=false\n")
    error_message = "Writing must stay a choice."
  }
}

run "a_bastion_without_memory" {
  command = plan

  variables {
    bastion = { instance_type = "t4g.micro" }
  }

  expect_failures = [var.bastion]
}

# ----------------------------------------------------------------------------
# Where failed batches go
# ----------------------------------------------------------------------------

run "failures_reach_a_queue" {
  command = plan

  variables {
    esm_mode = "provisioned"
    consumers = { consumer = {
      failure_destination             = "arn:aws:sqs:us-east-1:123456789012:failures"
      failure_destination_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/99999999-1111-2222-3333-444444444444"
    } }
  }

  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["sqs"] && aws_vpc_endpoint.interface["sqs"].service_name == "com.amazonaws.us-east-1.sqs" && length(aws_vpc_endpoint.s3) == 0
    error_message = "Lambda delivers through an endpoint of the destination's service in the cluster's VPC."
  }
  assert {
    condition     = contains(keys(aws_vpc_security_group_egress_rule.this), "brokers-to-endpoints-https") && contains(keys(aws_vpc_security_group_ingress_rule.this), "brokers-to-endpoints-https")
    error_message = "The pollers' place must reach the endpoint."
  }
  assert {
    condition = jsonencode([for statement in jsondecode(module.consumer["consumer"].policy).Statement : statement if startswith(statement.Sid, "Mapping") && strcontains(statement.Sid, "Failures")]) == jsonencode([
      { Action = ["sqs:SendMessage"], Effect = "Allow", Resource = ["arn:aws:sqs:us-east-1:123456789012:failures"], Sid = "MappingReportsFailures" },
      { Action = ["kms:Decrypt", "kms:GenerateDataKey"], Condition = { StringEquals = { "kms:ViaService" = "sqs.us-east-1.amazonaws.com" } }, Effect = "Allow", Resource = "arn:aws:kms:us-east-1:123456789012:key/99999999-1111-2222-3333-444444444444", Sid = "MappingEncryptsFailures" },
    ])
    error_message = "The mapping sends to this queue, with this key, and no more."
  }
}

run "failures_reach_a_bucket" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { failure_destination = "arn:aws:s3:::failures" } }
  }

  assert {
    condition     = length(aws_vpc_endpoint.s3) == 1 && length(aws_vpc_endpoint.interface) == 0 && contains(keys(aws_vpc_security_group_egress_rule.this), "brokers-to-s3-https")
    error_message = "A bucket is reached through S3's gateway endpoint."
  }
  assert {
    condition     = length([for alarm in aws_cloudwatch_metric_alarm.this : alarm if alarm.namespace == "AWS/SQS"]) == 0
    error_message = "A bucket has no queue to watch."
  }
}

run "failures_stay_in_the_cluster_by_default" {
  command = plan

  variables {
    esm_mode = "provisioned"
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length([for key in keys(aws_vpc_security_group_egress_rule.this) : key if startswith(key, "brokers-to-") && endswith(key, "-https")]) == 0
    error_message = "Provisioned pollers need no way out."
  }
}

run "failures_to_a_queue_elsewhere" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { failure_destination = "arn:aws:sqs:eu-west-1:123456789012:failures" } }
  }

  expect_failures = [var.consumers]
}

run "a_key_of_no_destination" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { failure_destination_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/99999999-1111-2222-3333-444444444444" } }
  }

  expect_failures = [var.consumers]
}

# ----------------------------------------------------------------------------
# The API's address
# ----------------------------------------------------------------------------

run "a_domain_without_a_zone_names_its_target" {
  command = plan

  variables {
    api = { domain = { name = "publish.example.com", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-1111-2222-3333-444444444444" } }
  }

  assert {
    condition     = output.api_domain_target == { name = "d-abc.execute-api.us-east-1.amazonaws.com", hosted_zone_id = "Z1" } && length(aws_route53_record.api) == 0
    error_message = "Without the target nobody can make the record, and the API's own address is off."
  }
  assert {
    condition     = output.api_id == "a1b2c3d4e5"
    error_message = "The id cannot be read from a custom domain's address."
  }
}
