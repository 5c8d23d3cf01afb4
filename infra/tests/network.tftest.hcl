# Who may reach whom, and how packets leave.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "exactly_the_ports_of_the_table" {
  command = plan

  assert {
    condition = toset([for key, rule in aws_vpc_security_group_ingress_rule.this : "${key}:${rule.from_port}-${rule.to_port}/${rule.ip_protocol}"]) == toset([
      "bastion-to-brokers-kafka_iam:9098-9098/tcp",
      "brokers-to-brokers-kafka_iam:9098-9098/tcp",
      "clients-to-brokers-kafka_iam:9098-9098/tcp",
      "consumer-to-brokers-kafka_iam:9098-9098/tcp",
      "producer-to-brokers-kafka_iam:9098-9098/tcp",
      "scraper-to-brokers-jmx_exporter:11001-11001/tcp",
      "scraper-to-brokers-node_exporter:11002-11002/tcp",
    ])
    error_message = "These are all the doors into the cluster; a new one needs a line here."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.cidr_ipv4 == null && rule.referenced_security_group_id != null])
    error_message = "Doors open to security groups, never to addresses."
  }
}

run "functions_reach_the_brokers_and_nothing_else" {
  command = plan

  assert {
    condition     = toset([for key, rule in aws_vpc_security_group_egress_rule.this : key if startswith(key, "producer-") || startswith(key, "consumer-")]) == toset(["producer-to-brokers-kafka_iam", "consumer-to-brokers-kafka_iam"])
    error_message = "The functions need no way to the internet."
  }
  assert {
    condition     = alltrue([for key, rule in aws_vpc_security_group_egress_rule.this : rule.from_port == 443 if rule.cidr_ipv4 == "0.0.0.0/0"])
    error_message = "Only HTTPS may leave the VPC."
  }
}

run "pollers_reach_the_brokers_and_lambda" {
  command = plan

  assert {
    condition     = contains(keys(aws_vpc_security_group_ingress_rule.this), "brokers-to-brokers-kafka_iam") && contains(keys(aws_vpc_security_group_egress_rule.this), "brokers-to-internet-https")
    error_message = "The event source mapping's pollers live in the brokers' group: it must reach itself on 9098, and Lambda and STS on 443."
  }
}

run "descriptions_that_ec2_takes" {
  command = plan

  variables {
    metrics_backend   = "amp"
    use_vpc_endpoints = true
    bastion           = { kafka_ui_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kafka-ui:v1.5.0" }
    bastion_public    = true
    allowed_cidrs     = ["203.0.113.7/32"]
    # Every port has a rule then.
    client_authentication = { scram = true, certificate_authority_arns = ["arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/00000000-1111-2222-3333-444444444444"] }
  }

  assert {
    # tests/tools/rendered.py holds every plan to this, and other names and descriptions to their rules.
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    condition     = alltrue([for text in concat([for group in aws_security_group.this : group.description], [for rule in concat(values(aws_vpc_security_group_ingress_rule.this), values(aws_vpc_security_group_egress_rule.this), values(aws_vpc_security_group_ingress_rule.bastion_ssh)) : rule.description]) : can(regex("^[a-zA-Z0-9. _:/()#,@\\[\\]+=&;{}!$*-]{1,255}$", text))])
    error_message = "EC2 refuses a security group or rule with other characters in its description."
  }
}

run "default_security_group_is_closed" {
  command = plan

  assert {
    condition     = length(aws_default_security_group.closed) == 1
    error_message = "The VPC's default security group must be taken over."
  }
  assert {
    condition     = length(aws_default_security_group.closed[0].ingress) == 0 && length(aws_default_security_group.closed[0].egress) == 0
    error_message = "The VPC's default security group must be left without rules."
  }
}

run "a_nat_gateway_per_zone" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(distinct([for route in aws_route.nat : route.nat_gateway_id])) == 3
    error_message = "Each zone must leave through a gateway of its own, or one zone's loss stops the others."
  }
}

run "one_nat_gateway_for_the_bastion_alone" {
  command = plan

  variables {
    esm_mode = "provisioned"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "Pollers of their own need no NAT: one gateway serves the bastion."
  }
}

run "no_nat_gateway_for_nobody" {
  command = plan

  variables {
    esm_mode       = "provisioned"
    enable_bastion = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0 && length(aws_eip.nat) == 0
    error_message = "Nothing leaves the VPC, so nothing is paid for it."
  }
}

run "a_nat_gateway_per_zone_when_asked" {
  command = plan

  variables {
    esm_mode           = "provisioned"
    single_nat_gateway = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "What is asked for is made."
  }
}

run "endpoints_in_china_have_their_own_names" {
  command = plan

  variables {
    region            = "cn-northwest-1"
    use_vpc_endpoints = true
    metrics_backend   = "none"
    bastion           = { kafka_ui_image = "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/kafka-ui:v1.5.0" }
  }

  assert {
    condition = { for key, endpoint in aws_vpc_endpoint.interface : key => trimsuffix(endpoint.service_name, "amazonaws.cn-northwest-1.${key}") } == {
      "ec2messages" = "com.", "ecr.api" = "cn.com.", "ecr.dkr" = "cn.com.", "lambda" = "cn.com.", "logs" = "com.", "ssm" = "com.", "ssmmessages" = "com.", "sts" = "cn.com."
    } && aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.cn-northwest-1.s3"
    error_message = "In China some services' endpoints begin with cn.com.amazonaws, others do not."
  }
}

run "one_nat_gateway_when_asked" {
  command = plan

  variables {
    single_nat_gateway = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "One gateway, used by all three zones."
  }
}

run "endpoints_instead_of_nat" {
  command = plan

  variables {
    use_vpc_endpoints = true
    bastion           = { kafka_ui_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kafka-ui:v1.5.0" }
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0 && length(aws_eip.nat) == 0
    error_message = "With endpoints there must be no NAT gateway."
  }
  assert {
    condition     = alltrue([for key, endpoint in aws_vpc_endpoint.interface : endpoint.service_name == "com.amazonaws.us-east-1.${key}"]) && aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.us-east-1.s3"
    error_message = "Each endpoint must name its service."
  }
  assert {
    condition     = length(setsubtract(["lambda", "sts", "logs", "ssm", "ssmmessages", "ecr.api", "ecr.dkr"], keys(aws_vpc_endpoint.interface))) == 0 && length(aws_vpc_endpoint.s3) == 1
    error_message = "The pollers need Lambda and STS, the bastion Systems Manager, ECR and S3."
  }
  assert {
    condition     = length([for key in keys(aws_vpc_security_group_egress_rule.this) : key if endswith(key, "-to-internet-https")]) == 0
    error_message = "With endpoints nothing may go to the internet."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.this["brokers-to-endpoints-https"].from_port == 443
    error_message = "The endpoints must let the pollers in."
  }
}

run "traffic_is_recorded" {
  command = plan

  assert {
    condition     = aws_flow_log.this[0].traffic_type == "ALL"
    error_message = "Flow logs must record accepted and refused traffic."
  }
  assert {
    condition = jsonencode([for statement in jsondecode(aws_iam_role_policy.flow_log[0].policy).Statement : [statement.Action, statement.Resource]]) == jsonencode([
      [["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], "${aws_cloudwatch_log_group.this["flow_log"].arn}:*"],
      [["logs:DescribeLogGroups"], "*"],
    ])
    error_message = "With less a flow log says Access error, and no line comes."
  }
}

run "nothing_gets_a_public_address" {
  command = plan

  assert {
    condition     = alltrue([for subnet in merge(aws_subnet.private, aws_subnet.public) : subnet.map_public_ip_on_launch != true])
    error_message = "No subnet may hand out public addresses."
  }
  assert {
    condition     = !aws_instance.bastion[0].associate_public_ip_address && output.bastion_public_ip == null && length(aws_vpc_security_group_ingress_rule.bastion_ssh) == 0
    error_message = "The bastion has no public address and no open port unless asked for."
  }
}

run "bastion_is_hardened" {
  command = plan

  assert {
    condition     = aws_instance.bastion[0].metadata_options[0].http_tokens == "required" && aws_instance.bastion[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "The bastion's credentials must need IMDSv2 and stay on the host."
  }
  assert {
    condition     = aws_instance.bastion[0].root_block_device[0].encrypted && aws_instance.bastion[0].root_block_device[0].kms_key_id == aws_kms_key.this.arn && aws_instance.bastion[0].key_name == ""
    error_message = "The bastion has an encrypted disk and no key pair."
  }
  assert {
    condition     = strcontains(local.bastion_setup, "SERVER_ADDRESS=127.0.0.1") && strcontains(local.bastion_setup, "ghcr.io/kafbat/kafka-ui") && !strcontains(local.bastion_setup, "provectus")
    error_message = "Kafka-UI is kafbat's, and must listen on loopback only."
  }
  assert {
    condition     = strcontains(local.bastion_setup, "/etc/kafka-iam.properties") && strcontains(local.bastion_setup, "sasl.mechanism=AWS_MSK_IAM") && strcontains(local.bastion_setup, local.bootstrap.kafka_iam)
    error_message = "The Kafka command line on the bastion must be ready for IAM and know the brokers."
  }
}

run "bastion_image_by_digest" {
  command = plan

  variables {
    bastion = { kafka_ui_image_digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }

  assert {
    condition     = strcontains(local.bastion_setup, "ghcr.io/kafbat/kafka-ui@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n")
    error_message = "A digest must replace the tag."
  }
}

run "bastion_images_from_ecr" {
  command = plan

  variables {
    use_vpc_endpoints        = true
    metrics_backend          = "bastion"
    bastion_prometheus_image = "210987654321.dkr.ecr.us-east-1.amazonaws.com/mirror/prometheus:v3.5.0"
    bastion = {
      kafka_ui_image        = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kafka-ui:v1.5.0"
      kafka_ui_image_digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    }
  }

  assert {
    condition = jsonencode([for statement in jsondecode(aws_iam_role_policy.bastion_images[0].policy).Statement : [statement.Action, statement.Resource]]) == jsonencode([
      [["ecr:GetAuthorizationToken"], "*"],
      [["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], ["arn:aws:ecr:us-east-1:123456789012:repository/kafka-ui", "arn:aws:ecr:us-east-1:210987654321:repository/mirror/prometheus"]],
    ])
    error_message = "The bastion may pull the images that are named, and no other."
  }
  assert {
    condition     = can(regex("Environment=HOME=/root\nExecStartPre=-/usr/bin/timeout 60 /bin/bash -c '/usr/bin/aws ecr get-login-password --region us-east-1 [|] /usr/bin/docker login --username AWS --password-stdin 123456789012.dkr.ecr.us-east-1.amazonaws.com'\nExecStart=/usr/bin/docker run .* 123456789012.dkr.ecr.us-east-1.amazonaws.com/kafka-ui@sha256:", local.bastion_setup))
    error_message = "Kafka-UI's unit must log in to the registry before it pulls."
  }
  assert {
    condition     = can(regex("--password-stdin 210987654321.dkr.ecr.us-east-1.amazonaws.com'\nExecStart=/usr/bin/docker run .* 210987654321.dkr.ecr.us-east-1.amazonaws.com/mirror/prometheus:v3.5.0 --config", local.bastion_prometheus_script))
    error_message = "Prometheus' unit must log in to the registry before it pulls."
  }
}

run "public_images_need_no_rights" {
  command = plan

  variables {
    metrics_backend = "bastion"
  }

  assert {
    condition     = length(aws_iam_role_policy.bastion_images) == 0 && !strcontains("${local.bastion_setup}${local.bastion_prometheus_script}", "docker login")
    error_message = "Without an image from ECR the bastion has no business there."
  }
  assert {
    condition     = can(regex("ExecStartPre=-/usr/bin/docker rm -f kafka-ui\nExecStart=", local.bastion_setup)) && can(regex("ExecStartPre=-/usr/bin/docker rm -f prometheus\nExecStart=", local.bastion_prometheus_script))
    error_message = "The units must stay whole without the login."
  }
}

run "public_bastion_only_for_the_ranges_given" {
  command = plan

  variables {
    bastion_public = true
    allowed_cidrs  = ["203.0.113.7/32"]
  }

  assert {
    condition     = aws_instance.bastion[0].associate_public_ip_address && output.bastion_public_ip != null
    error_message = "A public bastion has an address, and the output shows it."
  }
  assert {
    condition     = { for key, rule in aws_vpc_security_group_ingress_rule.bastion_ssh : key => "${rule.cidr_ipv4} ${rule.from_port}" } == { "203.0.113.7/32" = "203.0.113.7/32 22" }
    error_message = "Only SSH, only for the ranges given."
  }
}

run "no_bastion_when_not_wanted" {
  command = plan

  variables {
    enable_bastion = false
  }

  assert {
    condition     = length(aws_instance.bastion) == 0 && length(aws_iam_role.bastion) == 0 && length([for key in keys(aws_vpc_security_group_ingress_rule.this) : key if startswith(key, "bastion")]) == 0
    error_message = "Disabled must create nothing."
  }
  assert {
    condition     = output.bastion_instance_id == null && output.kafka_ui_command == null
    error_message = "The bastion's outputs must be null."
  }
}

run "prometheus_on_the_bastion_may_scrape" {
  command = plan

  variables {
    metrics_backend = "bastion"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.this["bastion-to-brokers-jmx_exporter"].from_port == 11001 && aws_vpc_security_group_ingress_rule.this["bastion-to-brokers-node_exporter"].from_port == 11002
    error_message = "The bastion must reach both exporters."
  }
  assert {
    condition     = !contains(keys(aws_security_group.this), "scraper")
    error_message = "Without AMP's scraper there must be no group for it."
  }
}

run "adopted_subnets_in_two_zones" {
  command = plan

  variables {
    existing_network = { vpc_id = "vpc-adopted", private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"] }
  }

  override_data {
    target = data.aws_subnet.existing["subnet-a"]
    values = { availability_zone = "us-east-1a" }
  }
  override_data {
    target = data.aws_subnet.existing["subnet-b"]
    values = { availability_zone = "us-east-1a" }
  }
  override_data {
    target = data.aws_subnet.existing["subnet-c"]
    values = { availability_zone = "us-east-1b" }
  }

  expect_failures = [aws_msk_cluster.this[0]]
}
