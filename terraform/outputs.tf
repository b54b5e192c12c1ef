output "nodes" {
  description = "Each machine: its id at Vultr, where it stands, and its two addresses."
  value = { for name, node in module.node : name => {
    instance_id    = node.id
    label          = node.label
    region         = node.region
    public_address = local.public_addresses[name]
    tunnel_address = local.tunnel_addresses[name]
  } }
}

output "ssh" {
  description = "How to log in."
  value       = { for name, address in local.public_addresses : name => "ssh ${var.admin_user}@${address}" }
}

output "endpoint" {
  description = "The record that clients connect to; null when there is none."
  value       = var.dns == null ? null : "${var.dns.name}.${var.dns.domain}"
}

output "bot_config" {
  description = "The part of the bot's configuration that speaks of these machines: terraform output -raw bot_config."
  value = templatefile("${path.module}/bot.yaml.tftpl", {
    pair = var.pair
    nodes = { for name in coalesce(var.pair.nodes, keys(var.nodes)) : name => {
      region      = var.nodes[name].region
      address     = local.tunnel_addresses[name]
      instance_id = module.node[name].id
      label       = module.node[name].label
    } }
    endpoint = var.dns == null ? null : {
      domain = var.dns.domain
      name   = var.dns.name
      ttl    = var.dns.ttl
      record = vultr_dns_record.endpoint[0].id
    }
  })
}
