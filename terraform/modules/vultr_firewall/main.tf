# An allow-list before the machines: what no rule names is dropped. PostgreSQL's
# port and Kubernetes' NodePorts are in none. Not ufw: k3s rewrites the machine's
# own forwarding rules and goes around it. There are no IPv6 rules because the
# machines have no IPv6 address.

locals {
  operator_ports = { ssh = "22", kubernetes = "6443" }

  operator_rules = merge([for what, port in local.operator_ports : {
    for cidr in var.operator_cidrs : "${what} from ${cidr}" => { port = port, cidr = cidr }
  }]...)
}

resource "vultr_firewall_group" "this" {
  description = var.description
}

resource "vultr_firewall_rule" "operator" {
  for_each = local.operator_rules

  firewall_group_id = vultr_firewall_group.this.id
  protocol          = "tcp"
  ip_type           = "v4"
  subnet            = split("/", each.value.cidr)[0]
  subnet_size       = tonumber(split("/", each.value.cidr)[1])
  port              = each.value.port
  notes             = each.key
}

resource "vultr_firewall_rule" "tunnel" {
  for_each = var.tunnel_cidrs

  firewall_group_id = vultr_firewall_group.this.id
  protocol          = "udp"
  ip_type           = "v4"
  subnet            = split("/", each.value)[0]
  subnet_size       = tonumber(split("/", each.value)[1])
  port              = tostring(var.tunnel_port)
  notes             = "tunnel from ${each.key}"
}
