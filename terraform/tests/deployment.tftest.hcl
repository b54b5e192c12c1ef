# terraform test: the whole configuration against a provider that only pretends.
# Needs the provider's schema, so its binary (terraform init fetches it), and no
# account. Plans and applies change nothing anywhere.

mock_provider "vultr" {
  mock_resource "vultr_reserved_ip" {
    defaults = { subnet = "192.0.2.11" }
  }
}

variables {
  ssh_public_keys = {
    dba-1 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA dba-1"
  }
  operator_cidrs = ["203.0.113.7/32"]
  tunnel_public_keys = {
    dc1 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
    dc2 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
  }
  tunnel_private_keys = {
    dc1 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
    dc2 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
  }
}

run "two_machines_in_two_regions" {
  command = plan

  assert {
    condition     = { for name, ip in vultr_reserved_ip.node : name => ip.region } == { dc1 = "atl", dc2 = "dfw" }
    error_message = "By default one machine stands in Atlanta and one in Dallas."
  }
  assert {
    condition     = length(vultr_dns_record.endpoint) == 0
    error_message = "Without dns there is no record."
  }
  assert {
    condition     = { for name, node in output.nodes : name => node.tunnel_address } == { dc1 = "10.99.0.1", dc2 = "10.99.0.2" }
    error_message = "The addresses in the tunnel follow the nodes' numbers."
  }
}

run "three_machines_and_a_record" {
  command = plan

  variables {
    nodes = {
      dc1 = { region = "atl", number = 1 }
      dc2 = { region = "dfw", number = 2 }
      dc3 = { region = "ewr", number = 3, plan = "vc2-4c-8gb" }
    }
    tunnel_public_keys = {
      dc1 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
      dc2 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
      dc3 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="
    }
    tunnel_private_keys = {
      dc1 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
      dc2 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
      dc3 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM="
    }
    primary = "dc2"
    pair    = { name = "orders", database = "orders", nodes = ["dc1", "dc2"] }
    dns     = { domain = "example.com", name = "orders" }
  }

  assert {
    condition     = length(vultr_reserved_ip.node) == 3
    error_message = "Each of nodes gets an address."
  }
  assert {
    condition     = vultr_dns_record.endpoint[0].data == "10.99.0.2" && vultr_dns_record.endpoint[0].ttl == 60
    error_message = "The record points to the first primary, in the tunnel."
  }
  assert {
    condition     = output.endpoint == "orders.example.com"
    error_message = "The output names the record."
  }
}

run "one_region_is_refused" {
  command = plan
  variables {
    nodes = { dc1 = { region = "atl", number = 1 }, dc2 = { region = "atl", number = 2 } }
  }
  expect_failures = [var.nodes]
}

run "the_whole_internet_is_refused" {
  command = plan
  variables {
    operator_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.operator_cidrs]
}

run "a_private_key_in_the_public_ones_place_is_refused" {
  command = plan
  variables {
    tunnel_public_keys = {
      dc1 = "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
      dc2 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
    }
  }
  expect_failures = [var.tunnel_private_keys]
}

run "a_channel_instead_of_a_release_is_refused" {
  command = plan
  variables {
    k3s = {
      version        = "stable"
      binary_sha256  = "0000000000000000000000000000000000000000000000000000000000000000"
      install_sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
    }
  }
  expect_failures = [var.k3s]
}
