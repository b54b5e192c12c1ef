output "id" {
  description = "The machine's id at Vultr, by which the bot halts it."
  value       = vultr_instance.this.id
}

output "label" {
  description = "What Vultr shows."
  value       = vultr_instance.this.label
}

output "region" {
  description = "Vultr's region id."
  value       = vultr_instance.this.region
}
