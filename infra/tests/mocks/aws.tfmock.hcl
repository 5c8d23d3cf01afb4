# What AWS would answer, in the form that AWS gives it. Every test file's mock_provider takes these, so no test can reach an account.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"] }
}

mock_data "aws_ssm_parameter" {
  defaults = { insecure_value = "ami-0123456789abcdef0" }
}

mock_data "aws_msk_cluster" {
  defaults = {
    arn                        = "arn:aws:kafka:us-east-1:123456789012:cluster/adopted/11111111-2222-3333-4444-555555555555-6"
    bootstrap_brokers_sasl_iam = "b-2.adopted.kafka.us-east-1.amazonaws.com:9098,b-1.adopted.kafka.us-east-1.amazonaws.com:9098"
    bootstrap_brokers_tls      = ""
    number_of_broker_nodes     = 3
    broker_node_group_info     = [{ instance_type = "kafka.m5.large" }]
  }
}

mock_resource "aws_msk_cluster" {
  defaults = {
    arn                        = "arn:aws:kafka:us-east-1:123456789012:cluster/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1"
    bootstrap_brokers_sasl_iam = "b-3.msk.kafka.us-east-1.amazonaws.com:9098,b-1.msk.kafka.us-east-1.amazonaws.com:9098,b-2.msk.kafka.us-east-1.amazonaws.com:9098"
    bootstrap_brokers_tls      = ""
  }
}

mock_resource "aws_msk_configuration" {
  defaults = {
    arn             = "arn:aws:kafka:us-east-1:123456789012:configuration/msk-ha-cluster/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee-1"
    latest_revision = 1
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn    = "arn:aws:kms:us-east-1:123456789012:key/00000000-1111-2222-3333-444444444444"
    key_id = "00000000-1111-2222-3333-444444444444"
  }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
}

mock_resource "aws_iam_role_policy" {
  defaults = {}
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws:iam::123456789012:policy/mocked" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mocked" }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn        = "arn:aws:lambda:us-east-1:123456789012:function:mocked"
    invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:mocked/invocations"
    version    = "1"
  }
}

mock_resource "aws_lambda_layer_version" {
  defaults = { arn = "arn:aws:lambda:us-east-1:123456789012:layer:mocked:1" }
}

mock_resource "aws_lambda_alias" {
  defaults = {
    arn        = "arn:aws:lambda:us-east-1:123456789012:function:mocked:live"
    invoke_arn = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:mocked:live/invocations"
  }
}

mock_resource "aws_lambda_event_source_mapping" {
  defaults = { uuid = "99999999-8888-7777-6666-555555555555" }
}

mock_resource "aws_apigatewayv2_api" {
  defaults = {
    id            = "a1b2c3d4e5"
    api_endpoint  = "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"
    execution_arn = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5"
  }
}

mock_resource "aws_apigatewayv2_integration" {
  defaults = { id = "int0001" }
}

mock_resource "aws_vpc" {
  defaults = { id = "vpc-0123456789abcdef0" }
}

mock_resource "aws_instance" {
  defaults = { id = "i-0123456789abcdef0", public_ip = "203.0.113.20", key_name = "" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:us-east-1:123456789012:mocked" }
}

mock_resource "aws_prometheus_workspace" {
  defaults = {
    id                  = "ws-01234567-89ab-cdef-0123-456789abcdef"
    arn                 = "arn:aws:aps:us-east-1:123456789012:workspace/ws-01234567-89ab-cdef-0123-456789abcdef"
    prometheus_endpoint = "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-01234567-89ab-cdef-0123-456789abcdef/"
  }
}

mock_resource "aws_grafana_workspace" {
  defaults = {
    id       = "g-0123456789"
    arn      = "arn:aws:grafana:us-east-1:123456789012:/workspaces/g-0123456789"
    endpoint = "g-0123456789.grafana-workspace.us-east-1.amazonaws.com"
  }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = { arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:mocked" }
}

mock_resource "aws_cloudwatch_composite_alarm" {
  defaults = { arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:mocked" }
}

# --- Types whose made-up ids are enough. Only a type named here has known values in a plan. ---

mock_resource "aws_subnet" {
  defaults = {}
}

mock_resource "aws_default_security_group" {
  defaults = { ingress = [], egress = [] }
}

mock_resource "aws_internet_gateway" {
  defaults = {}
}

mock_resource "aws_route_table" {
  defaults = {}
}

mock_resource "aws_route" {
  defaults = {}
}

mock_resource "aws_eip" {
  defaults = {}
}

mock_resource "aws_nat_gateway" {
  defaults = {}
}

mock_resource "aws_security_group" {
  defaults = {}
}

mock_resource "aws_vpc_endpoint" {
  defaults = {}
}

mock_resource "aws_iam_instance_profile" {
  defaults = {}
}

mock_resource "aws_apigatewayv2_authorizer" {
  defaults = {}
}

mock_resource "aws_apigatewayv2_stage" {
  defaults = {}
}

mock_resource "aws_apigatewayv2_route" {
  defaults = {}
}

mock_resource "aws_msk_topic" {
  defaults = {}
}

mock_resource "aws_appautoscaling_target" {
  defaults = {}
}

mock_resource "aws_prometheus_scraper" {
  defaults = {}
}

mock_resource "aws_apigatewayv2_domain_name" {
  defaults = {
    id                        = "api.example.com"
    domain_name_configuration = { target_domain_name = "d-abc.execute-api.us-east-1.amazonaws.com", hosted_zone_id = "Z1" }
  }
}
