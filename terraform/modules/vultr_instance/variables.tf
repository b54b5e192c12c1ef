variable "name" {
  description = "Name of the node: host name, and the node's name in Kubernetes."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,19}$", var.name))
    error_message = "name: small letters and digits, a letter first, 20 characters at most."
  }
}

variable "label" {
  description = "What Vultr shows."
  type        = string
}

variable "tags" {
  description = "Vultr's tags."
  type        = set(string)
  default     = []
}

variable "region" {
  description = "Vultr's region id."
  type        = string
}

variable "plan" {
  description = "Vultr's plan id."
  type        = string
}

variable "os_id" {
  description = "Vultr's id of a Debian 12 image."
  type        = number
}

variable "ssh_key_ids" {
  description = "Vultr's ids of the keys; Vultr wants some, so that it doesn't send a password by mail."
  type        = list(string)
}

variable "ssh_public_keys" {
  description = "The keys themselves, for admin_user."
  type        = list(string)
}

variable "admin_user" {
  description = "The account to log in with."
  type        = string
}

variable "firewall_group_id" {
  description = "The allow-list before the machine."
  type        = string
}

variable "reserved_ip_id" {
  description = "Id of the address that becomes the machine's own."
  type        = string
}

variable "public_address" {
  description = "That address."
  type        = string
}

variable "k3s" {
  description = "Version and SHA-256 of the amd64 binary and of the install script."
  type = object({
    version        = string
    binary_sha256  = string
    install_sha256 = string
  })
}

variable "tunnel" {
  description = "The node's end of the tunnel, and everybody at the other ends."
  type = object({
    address     = string
    network     = string
    port        = number
    public_key  = string
    private_key = string
    peers = map(object({
      public_key = string
      address    = string
      endpoint   = string # empty: it calls
    }))
  })
  sensitive = true
}
