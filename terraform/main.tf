# Two machines in two regions, a tunnel between them, and the record that clients
# connect to. What each part is for and how it is taken down: README.md.

locals {
  # Addresses in the tunnel. PostgreSQL is reached at these and nowhere else.
  tunnel_addresses = merge(
    { for name, node in var.nodes : name => cidrhost(var.tunnel_network, node.number) },
    { for name, peer in var.tunnel_peers : name => cidrhost(var.tunnel_network, peer.number) },
  )

  # Public addresses. They are reserved before the machines are made: each one's
  # tunnel names the others, and an address outlives its machine.
  public_addresses = { for name, ip in vultr_reserved_ip.node : name => ip.subnet }

  # Everybody with whom a node speaks through the tunnel. A peer that isn't a node
  # has no endpoint: it calls.
  tunnel_peers = merge(
    { for name, node in var.nodes : name => {
      public_key = var.tunnel_public_keys[name]
      address    = local.tunnel_addresses[name]
      endpoint   = "${local.public_addresses[name]}:${var.tunnel_port}"
    } },
    { for name, peer in var.tunnel_peers : name => {
      public_key = peer.public_key
      address    = local.tunnel_addresses[name]
      endpoint   = ""
    } },
  )

  # Who may send datagrams to the tunnel's port.
  tunnel_cidrs = merge(
    { for name, address in local.public_addresses : name => "${address}/32" },
    { for name, peer in var.tunnel_peers : name => peer.cidr },
  )
}

resource "vultr_ssh_key" "admin" {
  for_each = var.ssh_public_keys

  name    = "${var.prefix}-${each.key}"
  ssh_key = each.value
}

resource "vultr_reserved_ip" "node" {
  for_each = var.nodes

  region  = each.value.region
  ip_type = "v4"
  label   = "${var.prefix}-${each.key}"

  lifecycle {
    prevent_destroy = true # its partner's tunnel points to it

    # The machine takes the address when it is made. Held against a configuration
    # that doesn't say so, the next apply would take it away again.
    ignore_changes = [instance_id]
  }
}

module "firewall" {
  source = "./modules/vultr_firewall"

  description    = var.prefix
  operator_cidrs = var.operator_cidrs
  tunnel_cidrs   = local.tunnel_cidrs
  tunnel_port    = var.tunnel_port
}

module "node" {
  source   = "./modules/vultr_instance"
  for_each = var.nodes

  name              = each.key
  label             = "${var.prefix}-${each.key}"
  tags              = [var.prefix]
  region            = each.value.region
  plan              = each.value.plan
  os_id             = var.os_id
  ssh_key_ids       = [for key in vultr_ssh_key.admin : key.id]
  ssh_public_keys   = values(var.ssh_public_keys)
  admin_user        = var.admin_user
  firewall_group_id = module.firewall.id
  reserved_ip_id    = vultr_reserved_ip.node[each.key].id
  public_address    = local.public_addresses[each.key]
  k3s               = var.k3s

  tunnel = {
    address     = local.tunnel_addresses[each.key]
    network     = var.tunnel_network
    port        = var.tunnel_port
    public_key  = var.tunnel_public_keys[each.key]
    private_key = var.tunnel_private_keys[each.key]
    peers       = { for name, peer in local.tunnel_peers : name => peer if name != each.key }
  }
}

# Points to an address in the tunnel, since the database can be reached there only.
resource "vultr_dns_record" "endpoint" {
  count = var.dns == null ? 0 : 1

  domain = var.dns.domain
  name   = var.dns.name
  type   = "A"
  ttl    = var.dns.ttl
  data   = local.tunnel_addresses[var.primary]

  lifecycle {
    ignore_changes = [data] # the bot's from the first failover on
  }
}
