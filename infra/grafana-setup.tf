# Lets the stack in grafana/ fill the Grafana workspace, and people in. A provider cannot be configured from a resource
# that the same apply creates, hence two stacks: this one makes the workspace and a token, grafana/ uses them.

resource "aws_grafana_role_association" "this" {
  for_each = { for role, members in {
    ADMIN  = { users = var.grafana.admin_user_ids, groups = var.grafana.admin_group_ids }
    VIEWER = { users = var.grafana.viewer_user_ids, groups = var.grafana.viewer_group_ids }
  } : role => members if var.enable_managed_grafana && length(concat(members.users, members.groups)) > 0 }

  workspace_id = aws_grafana_workspace.this[0].id
  role         = each.key
  user_ids     = each.value.users
  group_ids    = each.value.groups
}

# Identity Center needs no more than the ids above; an identity provider must be named, and say what people may do.
resource "aws_grafana_workspace_saml_configuration" "this" {
  count = var.enable_managed_grafana && var.grafana.saml != null ? 1 : 0

  workspace_id       = aws_grafana_workspace.this[0].id
  idp_metadata_url   = var.grafana.saml.idp_metadata_url
  role_assertion     = var.grafana.saml.role_assertion
  admin_role_values  = var.grafana.saml.admin_role_values
  editor_role_values = var.grafana.saml.editor_role_values
}

resource "aws_grafana_workspace_service_account" "terraform" {
  count = var.enable_managed_grafana ? 1 : 0

  workspace_id = aws_grafana_workspace.this[0].id
  name         = "terraform"
  grafana_role = "ADMIN" # data sources need it
}

# Lives for a day: long enough for one apply of grafana/, which docs/03_MONITORING.md does right after this one.
# A new one: terraform apply -replace='aws_grafana_workspace_service_account_token.terraform[0]'
resource "aws_grafana_workspace_service_account_token" "terraform" {
  count = var.enable_managed_grafana ? 1 : 0

  workspace_id       = aws_grafana_workspace.this[0].id
  service_account_id = aws_grafana_workspace_service_account.terraform[0].service_account_id
  name               = "terraform"
  seconds_to_live    = var.grafana.token_seconds
}
