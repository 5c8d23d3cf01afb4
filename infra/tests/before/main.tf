# The one consumer as it was before there were several: what an existing state holds, for moves.tftest.hcl.

resource "aws_iam_role" "consumer" {
  name               = "msk-ha-cluster-consumer"
  description        = "Consumer function and its event source mapping: reads the consumed topics, writes their dead letters"
  assume_role_policy = "{}"
}

resource "aws_iam_role_policy" "consumer" {
  name   = "consumer"
  role   = aws_iam_role.consumer.id
  policy = "{}"
}

resource "aws_security_group" "this" {
  for_each = toset(["consumer"])

  name_prefix = "msk-ha-cluster-${each.key}-"
  description = "Consumer function"
  vpc_id      = "vpc-before"
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = toset(["consumer"])

  name = "/aws/lambda/msk-ha-cluster-${each.key}"
}

resource "aws_lambda_function" "consumer" {
  function_name = "msk-ha-cluster-consumer"
  role          = aws_iam_role.consumer.arn
}

resource "aws_lambda_event_source_mapping" "consumer" {
  for_each = toset(["orders", "payments"])

  function_name    = aws_lambda_function.consumer.arn
  event_source_arn = "arn:aws:kafka:us-east-1:123456789012:cluster/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1"
  topics           = [each.key]
}

output "ids" {
  description = "What the moved resources must still be."
  value = {
    function       = aws_lambda_function.consumer.id
    role           = aws_iam_role.consumer.unique_id
    policy         = aws_iam_role_policy.consumer.id
    security_group = aws_security_group.this["consumer"].id
    log_group      = aws_cloudwatch_log_group.this["consumer"].id
    mappings       = { for topic, it in aws_lambda_event_source_mapping.consumer : topic => it.id }
  }
}
