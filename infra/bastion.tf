# NAT gateways, and the bastion with the Kafka command line and Kafka-UI.

# ----------------------------------------------------------------------------
# NAT
# ----------------------------------------------------------------------------

locals {
  # Who leaves the VPC: on-demand pollers from every zone, the bastion from the first (it lives there).
  leave_every_zone = var.esm_mode == "on_demand" && length(local.consumed_topics) > 0
  leave_first_zone = var.enable_bastion && !var.bastion_public
  single_nat       = coalesce(var.single_nat_gateway, !local.leave_every_zone)
  has_nat          = !local.adopts_network && !var.use_vpc_endpoints && (var.single_nat_gateway != null || local.leave_every_zone || local.leave_first_zone)
  # Zone -> the zone whose gateway it uses.
  nat_zones = local.has_nat ? { for zone in local.zones : zone => local.single_nat ? local.zones[0] : zone } : {}
}

resource "aws_eip" "nat" {
  for_each = toset(values(local.nat_zones))

  domain = "vpc"
  tags   = { Name = "${local.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = toset(values(local.nat_zones))

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = { Name = "${local.name}-${each.key}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route" "nat" {
  for_each = local.nat_zones

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.value].id
}

# ----------------------------------------------------------------------------
# Bastion
# ----------------------------------------------------------------------------

# The newest Amazon Linux 2023 for the instance type's architecture.
data "aws_ssm_parameter" "al2023" {
  count = var.enable_bastion ? 1 : 0
  name  = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${can(regex("^[a-z]+[0-9]+g[a-z]*\\.", var.bastion.instance_type)) ? "arm64" : "x86_64"}"
}

locals {
  kafka_ui_port = 8080
  # The bastion makes the password at its first boot, so that no state holds it.
  kafka_ui_password_name = "/kafka-ui/${local.name}/password"
  kafka_ui_password_arn  = "arn:${local.partition}:ssm:${var.region}:${local.account_id}:parameter${local.kafka_ui_password_name}"

  # Images of a private ECR registry need a login, and rights: account, region and repository of each. A token lives for
  # twelve hours, so the units log in each time they start. A minute at most: systemd fails a unit whose start takes longer, and the rest
  # of the set-up with it.
  # https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
  bastion_images = merge(
    { kafka_ui = var.bastion.kafka_ui_image },
    var.metrics_backend == "bastion" ? { prometheus = var.bastion_prometheus_image } : {},
  )
  ecr_image = "^(?P<registry>(?P<account>[0-9]{12})\\.dkr\\.ecr\\.(?P<region>[a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?)/(?P<repository>[^:@]+)"
  bastion_ecr_images = {
    for name, image in local.bastion_images : name => regex(local.ecr_image, image)
    if var.enable_bastion && can(regex(local.ecr_image, image))
  }
  bastion_logins = {
    for name in ["kafka_ui", "prometheus"] : name => try("/usr/bin/timeout 60 /bin/bash -c '/usr/bin/aws ecr get-login-password --region ${local.bastion_ecr_images[name].region} | /usr/bin/docker login --username AWS --password-stdin ${local.bastion_ecr_images[name].registry}'", "")
  }

  bastion_setup = templatefile("${path.module}/templates/bastion.sh.tftpl", {
    bootstrap_brokers = local.bootstrap.kafka_iam
    cluster_name      = local.cluster_name
    kafka_ui_image    = var.bastion.kafka_ui_image_digest == null ? var.bastion.kafka_ui_image : "${replace(var.bastion.kafka_ui_image, "/:[^/:]*$/", "")}@${var.bastion.kafka_ui_image_digest}"
    kafka_ui_login    = local.bastion_logins.kafka_ui
    kafka_ui_port     = local.kafka_ui_port
    kafka_ui_password = local.kafka_ui_password_name
    key_arn           = aws_kms_key.this.arn
    read_only         = var.bastion.kafka_ui_read_only
    region            = var.region
  })
}

resource "aws_instance" "bastion" {
  count = var.enable_bastion ? 1 : 0

  ami                         = data.aws_ssm_parameter.al2023[0].insecure_value
  instance_type               = var.bastion.instance_type
  iam_instance_profile        = aws_iam_instance_profile.bastion[0].name
  subnet_id                   = var.bastion_public ? local.public_subnet_ids[0] : local.private_subnet_ids[0]
  associate_public_ip_address = var.bastion_public
  key_name                    = var.bastion.key_name
  vpc_security_group_ids      = [aws_security_group.this["bastion"].id]
  monitoring                  = true
  ebs_optimized               = true

  # Zipped, because user data ends at 16 KB.
  user_data_base64            = base64gzip(join("\n", compact([local.bastion_setup, local.bastion_prometheus_script])))
  user_data_replace_on_change = true

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1 # containers share the host's network, so one hop is enough
  }

  root_block_device {
    encrypted   = true
    kms_key_id  = aws_kms_key.this.arn
    volume_size = var.bastion.volume_gib
    volume_type = "gp3"
  }

  tags = { Name = "${local.name}-bastion" }

  # Its first boot signs in to Systems Manager and keeps the password there.
  depends_on = [aws_iam_role_policy.bastion_session_manager, aws_route.nat]

  lifecycle {
    ignore_changes = [ami] # a newer image must not replace the host unasked: taint it when you want one
  }
}

# A shell whose input and output are kept, by who opened it, and which ends when nobody types. Sessions with AWS's own
# document follow the account's preferences, which are not this deployment's to set; docs/04_KAFKA_UI.md shows the rights that
# leave people this document alone. Forwarded ports have no text to keep: CloudTrail has who opened them.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-schema.html
resource "aws_ssm_document" "session" {
  count = var.enable_bastion ? 1 : 0

  name            = "bastion-${local.name}" # AWS keeps names that begin with aws or amazon
  document_type   = "Session"
  document_format = "JSON"
  content = jsonencode({
    schemaVersion = "1.0"
    description   = "A shell on the bastion of ${local.name}, logged"
    sessionType   = "Standard_Stream"
    inputs = {
      cloudWatchLogGroupName      = aws_cloudwatch_log_group.this["sessions"].name
      cloudWatchEncryptionEnabled = true
      cloudWatchStreamingEnabled  = true
      s3BucketName                = ""
      s3KeyPrefix                 = ""
      s3EncryptionEnabled         = false
      idleSessionTimeout          = "20"  # minutes
      maxSessionDuration          = "720" # minutes: a long night
    }
  })
}

# Only with images of a private ECR registry. A token is not for one repository: AWS checks that call without a resource.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
resource "aws_iam_role_policy" "bastion_images" {
  count = length(local.bastion_ecr_images) > 0 ? 1 : 0

  name = "pull-images"
  role = aws_iam_role.bastion[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid      = "Pull"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = sort(distinct([for image in local.bastion_ecr_images : "arn:${local.partition}:ecr:${image.region}:${image.account}:repository/${image.repository}"]))
      },
    ]
  })
}

# Only with bastion_public: SSH for the ranges given. The key is EC2 Instance Connect's, or bastion.key_name.
resource "aws_vpc_security_group_ingress_rule" "bastion_ssh" {
  for_each = toset(var.enable_bastion && var.bastion_public ? var.allowed_cidrs : [])

  security_group_id = aws_security_group.this["bastion"].id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ports.ssh.port
  to_port           = local.ports.ssh.port
  description       = "${local.ports.ssh.label} from an allowed range"
  tags              = { Name = "bastion-ssh-${each.value}" }
}
