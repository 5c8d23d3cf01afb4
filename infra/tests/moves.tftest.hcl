# A state with the one consumer of before: everything in it is moved into the map's entry, and nothing is made anew.

# What is applied must be what was planned, so the mock answers during apply alone; what a plan would make is unknown.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
  topics                 = { orders = {}, payments = {} }
}

# Only this file applies: a move needs a state. The provider is the mock all the same.
run "before" {
  command   = apply
  state_key = "moved"

  module {
    source = "./tests/before"
  }
}

run "nothing_is_made_anew" {
  command   = plan
  state_key = "moved"

  assert {
    condition = run.before.ids == {
      function       = module.consumer["consumer"].function.id
      role           = module.consumer["consumer"].role.unique_id
      policy         = module.consumer["consumer"].policy_id
      security_group = module.consumer["consumer"].security_group.id
      log_group      = module.consumer["consumer"].log_group.id
      mappings       = { for topic, it in module.consumer["consumer"].mappings : topic => it.id }
    }
    error_message = "A consumer, its role, its group, its log and its mappings must stay what they are: a moved block is missing."
  }
}
