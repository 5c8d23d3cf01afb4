# Terraform 1.9 is the first version whose variable validations may look at other variables.
# The tests under tests/ need 1.11 (mock providers that answer during plan).
terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.40, < 7"
    }
    # Zips the producer's layer.
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.4, < 3"
    }
  }

  # Keep the state in a bucket of your own, versioned and encrypted; the lock is a file beside the state
  # (Terraform 1.11 and newer). Uncomment, fill in, and run `terraform init -migrate-state`.
  #
  # backend "s3" {
  #   bucket       = "my-terraform-state"
  #   key          = "msk-ha-cluster/terraform.tfstate"
  #   region       = "us-east-1"
  #   encrypt      = true
  #   use_lockfile = true
  # }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Project = var.name, ManagedBy = "terraform" }, var.tags)
  }
}
