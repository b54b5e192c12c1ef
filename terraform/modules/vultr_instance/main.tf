# One machine: Debian 12 with k3s and its end of the tunnel, made ready by
# cloud-init at its first start and never remade by an edit.

locals {
  # Scripts are whole files without a template's marks in them, so that they can be
  # checked and run as they are; what differs from node to node stands in node.env.
  user_data = templatefile("${path.module}/cloud-init.yaml.tftpl", {
    name            = var.name
    admin_user      = var.admin_user
    ssh_public_keys = var.ssh_public_keys
    public_address  = var.public_address
    k3s             = var.k3s
    tunnel          = var.tunnel
    tunnel_prefix   = split("/", var.tunnel.network)[1]
    setup_script    = file("${path.module}/files/twokey-setup")
    k3s_script      = file("${path.module}/files/twokey-k3s")
    packet_filter   = file("${path.module}/files/twokey.nft")
  })
}

resource "vultr_instance" "this" {
  region            = var.region
  plan              = var.plan
  os_id             = var.os_id
  hostname          = var.name
  label             = var.label
  tags              = var.tags
  ssh_key_ids       = var.ssh_key_ids
  user_data         = local.user_data
  firewall_group_id = var.firewall_group_id
  reserved_ip_id    = var.reserved_ip_id
  enable_ipv6       = false # the allow-list speaks IPv4 only
  activation_email  = false
  ddos_protection   = false
  backups           = "disabled" # a disk's image is no backup of a database, see README.md

  lifecycle {
    # A database lives here. Whatever would remake the machine is refused…
    prevent_destroy = true

    # …and what is read at the first start only is not even compared: another k3s,
    # another key or another line in cloud-init changes machines to come, never one
    # that stands. How to bring it to those that do: README.md, "Changing things".
    ignore_changes = [user_data, ssh_key_ids, os_id]
  }
}
