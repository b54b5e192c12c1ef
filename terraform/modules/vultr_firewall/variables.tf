variable "description" {
  description = "Name of the group."
  type        = string
}

variable "operator_cidrs" {
  description = "IPv4 networks that may reach ssh and the Kubernetes API."
  type        = set(string)
}

variable "tunnel_cidrs" {
  description = "IPv4 networks that may reach the tunnel's port, by a name for the rule."
  type        = map(string)
}

variable "tunnel_port" {
  description = "UDP port of the tunnel."
  type        = number
}
