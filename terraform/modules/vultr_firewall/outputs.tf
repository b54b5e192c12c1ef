output "id" {
  description = "The group's id. It is there once the rules are, so that no machine is made before them."
  value       = vultr_firewall_group.this.id
  depends_on  = [vultr_firewall_rule.operator, vultr_firewall_rule.tunnel]
}
