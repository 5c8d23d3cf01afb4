# What a caller of the API needs in IAM: a policy for each topic, and roles for callers of other accounts. An HTTP API has no
# policy of its own, so they assume a role of this account.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html

locals {
  # The routes that name a topic, as execute-api names them: METHOD/path.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
  topic_routes = [for route in sort(local.api_routes) : replace(replace(route, " ", ""), "/\\{(cluster|partition)\\}/", "*") if strcontains(route, "{topic}")]

  publisher_resources = { for topic in keys(local.produced_topics) : topic => [
    for route in local.topic_routes : "${aws_apigatewayv2_api.this.execution_arn}/$default/${replace(route, "{topic}", topic)}"
  ] }
  publisher_policies = { for topic, resources in local.publisher_resources : topic => jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Publish", Effect = "Allow", Action = "execute-api:Invoke", Resource = resources }]
  }) }

  publisher_role_names = { for name in keys(var.publishers) : name => "${local.name}-publisher-${name}" }

  # A topic with callers of its own has its publishers' roles among them.
  topic_principals = { for name, topic in local.produced_topics : name => topic.policy.principals == null ? null : distinct(concat(
    topic.policy.principals,
    [for publisher in sort(keys(var.publishers)) : "arn:${local.partition}:iam::${local.account_id}:role/${local.publisher_role_names[publisher]}" if contains(var.publishers[publisher].topics, name)],
  )) }
}

resource "aws_iam_role" "publisher" {
  for_each = var.publishers

  name                 = local.publisher_role_names[each.key]
  description          = "Callers of other accounts: publish to ${length(each.value.topics)} topics over the API"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      { Effect = "Allow", Action = "sts:AssumeRole", Principal = { AWS = each.value.trusted } },
      each.value.external_id == null ? {} : { Condition = { StringEquals = { "sts:ExternalId" = each.value.external_id } } },
    )]
  })
}

resource "aws_iam_role_policy" "publisher" {
  for_each = var.publishers

  name = "publish"
  role = aws_iam_role.publisher[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Publish", Effect = "Allow", Action = "execute-api:Invoke", Resource = flatten([for topic in sort(each.value.topics) : local.publisher_resources[topic]]) }]
  })
}
