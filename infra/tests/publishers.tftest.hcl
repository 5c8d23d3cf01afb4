# Callers of other accounts: roles that publish to some topics, and the policies of callers of this account.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
  topics = {
    orders   = {}
    payments = { policy = { principals = ["arn:aws:iam::123456789012:role/shop"] } }
    payroll  = { policy = { principals = ["arn:aws:iam::123456789012:role/finance"] } }
    inbound  = { produced = false }
  }
  publishers = {
    billing = { topics = ["payments", "orders"], trusted = ["arn:aws:iam::210987654321:role/billing"], external_id = "b-1" }
    partner = { topics = ["orders"], trusted = ["arn:aws:iam::310987654321:root"] }
  }
}

run "publishers_reach_their_topics" {
  command = plan

  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.publisher["partner"].policy).Statement) == jsonencode([{
      Sid    = "Publish"
      Effect = "Allow"
      Action = "execute-api:Invoke"
      Resource = [for route in [
        "GET/topics/orders",
        "GET/topics/orders/partitions",
        "GET/topics/orders/partitions/*",
        "POST/topics/orders",
        "POST/topics/orders/partitions/*",
        "POST/v3/clusters/*/topics/orders/records",
        "POST/v3/clusters/*/topics/orders/records:batch",
      ] : "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/$default/${route}"]
    }])
    error_message = "A publisher calls the routes that name its topics, and no other."
  }
  assert {
    condition     = alltrue([for resource in jsondecode(aws_iam_role_policy.publisher["billing"].policy).Statement[0].Resource : strcontains(resource, "/topics/orders") || strcontains(resource, "/topics/payments")]) && length(jsondecode(aws_iam_role_policy.publisher["billing"].policy).Statement[0].Resource) == 14
    error_message = "A publisher of two topics has the routes of both."
  }
  assert {
    condition     = jsonencode(jsondecode(aws_lambda_function.producer.environment[0].variables.TOPICS)) == jsonencode({ orders = {}, payments = { principals = ["arn:aws:iam::123456789012:role/shop", "arn:aws:iam::123456789012:role/msk-ha-cluster-publisher-billing"] }, payroll = { principals = ["arn:aws:iam::123456789012:role/finance"] } })
    error_message = "A topic with callers of its own lets its publishers' roles in, and only those; one without stays as it is."
  }
  assert {
    condition     = output.publisher_policies["orders"] == aws_iam_role_policy.publisher["partner"].policy && toset(keys(output.publisher_policies)) == toset(["orders", "payments", "payroll"])
    error_message = "The policy of a caller of this account is that of a publisher of the topic; nothing is there for a topic that nobody may write."
  }
}

run "publishers_are_assumed_by_those_who_are_trusted" {
  command = plan

  assert {
    condition = jsonencode(jsondecode(aws_iam_role.publisher["billing"].assume_role_policy).Statement) == jsonencode([{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = ["arn:aws:iam::210987654321:role/billing"] }
      Condition = { StringEquals = { "sts:ExternalId" = "b-1" } }
    }])
    error_message = "The role trusts whom it names, with their external id."
  }
  assert {
    condition     = !can(jsondecode(aws_iam_role.publisher["partner"].assume_role_policy).Statement[0].Condition) && output.publisher_role_arns["partner"] == aws_iam_role.publisher["partner"].arn
    error_message = "Without an external id there is no condition, and the output names the role."
  }
}

run "no_publishers_no_roles" {
  command = plan

  variables {
    publishers = {}
  }

  assert {
    condition     = length(aws_iam_role.publisher) == 0 && length(aws_iam_role_policy.publisher) == 0
    error_message = "Without publishers no role is made."
  }
}

run "publisher_of_a_topic_that_nobody_writes" {
  command = plan

  variables {
    publishers = { billing = { topics = ["inbound"], trusted = ["arn:aws:iam::210987654321:root"] } }
  }

  expect_failures = [var.publishers]
}

run "publisher_of_nothing" {
  command = plan

  variables {
    publishers = { billing = { topics = [], trusted = ["arn:aws:iam::210987654321:root"] } }
  }

  expect_failures = [var.publishers]
}

run "publisher_that_everybody_may_be" {
  command = plan

  variables {
    publishers = { billing = { topics = ["orders"], trusted = ["*"] } }
  }

  expect_failures = [var.publishers]
}

run "publisher_that_nobody_may_be" {
  command = plan

  variables {
    publishers = { billing = { topics = ["orders"], trusted = [] } }
  }

  expect_failures = [var.publishers]
}

run "publisher_with_a_name_for_no_role" {
  command = plan

  variables {
    publishers = { "Billing dept" = { topics = ["orders"], trusted = ["arn:aws:iam::210987654321:root"] } }
  }

  expect_failures = [var.publishers]
}

run "publisher_of_an_api_with_tokens" {
  command = plan

  variables {
    api = { authorization = "JWT", jwt = { issuer = "https://issuer.example", audience = ["a"] } }
  }

  expect_failures = [var.publishers]
}
