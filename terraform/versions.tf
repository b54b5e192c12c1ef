terraform {
  required_version = ">= 1.9.0, < 2.0.0" # 1.9: a validation may look at other variables

  required_providers {
    vultr = {
      source  = "vultr/vultr"
      version = "~> 2.32"
    }
  }
}

# The key stands in the environment: VULTR_API_KEY. It is no variable, so that it
# can't get into a plan or a state.
provider "vultr" {
  rate_limit  = 700 # milliseconds between calls
  retry_limit = 3
}
