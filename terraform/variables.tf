# The machines -----------------------------------------------------------------

variable "prefix" {
  description = "What the names of everything made here begin with: labels, the firewall group, tags."
  type        = string
  default     = "twokey"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.prefix))
    error_message = "prefix: small letters, digits and hyphens, a letter first, 20 characters at most."
  }
}

variable "nodes" {
  description = "The machines, by name. number is the host part of the address in the tunnel; it, name and region can't be changed later."
  type = map(object({
    region = string
    number = number
    plan   = optional(string, "vc2-2c-4gb") # 2 vCPU, 4 GB
  }))
  default = {
    dc1 = { region = "atl", number = 1 } # Atlanta
    dc2 = { region = "dfw", number = 2 } # Dallas
  }

  validation {
    condition     = length(var.nodes) >= 2
    error_message = "nodes: a pair needs two machines at least."
  }
  validation {
    condition     = alltrue([for name in keys(var.nodes) : can(regex("^[a-z][a-z0-9]{0,19}$", name)) && !contains(["first", "any"], name)])
    error_message = "nodes: a name is a host name, a replication slot and an application_name at once: small letters and digits, a letter first, 20 characters at most, not first or any."
  }
  validation {
    condition     = alltrue([for n in values(var.nodes) : can(regex("^[a-z]{3}$", n.region))])
    error_message = "nodes: region is a Vultr region id of three small letters, such as atl or dfw."
  }
  validation {
    condition     = length(distinct([for n in values(var.nodes) : n.region])) >= 2
    error_message = "nodes: all machines are in one region. A pair stands in two, or one outage takes both."
  }
  validation {
    condition     = alltrue([for n in values(var.nodes) : n.number >= 1 && n.number == floor(n.number)])
    error_message = "nodes: number is a whole number from 1 on."
  }
  validation {
    condition     = length(distinct([for n in values(var.nodes) : n.number])) == length(var.nodes)
    error_message = "nodes: two machines have the same number, so they would have the same address in the tunnel."
  }
  validation {
    condition     = alltrue([for n in values(var.nodes) : can(regex("^[a-z0-9]+(-[a-z0-9]+)+$", n.plan))])
    error_message = "nodes: plan is a Vultr plan id, such as vc2-2c-4gb."
  }
}

variable "primary" {
  description = "Name of the node to which the DNS record points first. From then on the bot moves it."
  type        = string
  default     = "dc1"

  validation {
    condition     = contains(keys(var.nodes), var.primary)
    error_message = "primary: no node has this name; it must be one of nodes."
  }
}

variable "os_id" {
  description = "Vultr's id of the image. 2136 is Debian 12 x64; cloud-init here is written for Debian 12. The same for all nodes: another C library has other collations, and breaks indexes on a physical standby."
  type        = number
  default     = 2136

  validation {
    condition     = var.os_id >= 1 && var.os_id == floor(var.os_id)
    error_message = "os_id: a whole number; curl https://api.vultr.com/v2/os lists them."
  }
}

# People -----------------------------------------------------------------------

variable "ssh_public_keys" {
  description = "Public keys of the people who may log in as admin_user, by name. There is no other way in: no password, no root."
  type        = map(string)

  validation {
    condition     = length(var.ssh_public_keys) >= 1
    error_message = "ssh_public_keys: one key at least, or nobody can ever log in."
  }
  validation {
    condition     = alltrue([for key in values(var.ssh_public_keys) : can(regex("^(ssh-ed25519|sk-ssh-ed25519@openssh\\.com|ecdsa-sha2-nistp(256|384|521)|sk-ecdsa-sha2-nistp256@openssh\\.com|ssh-rsa) [A-Za-z0-9+/]{60,}={0,3}( [A-Za-z0-9@._ -]+)?$", key))])
    error_message = "ssh_public_keys: each is one line of a .pub file: type, key, comment. A private key never belongs here."
  }
  validation {
    condition     = alltrue([for name in keys(var.ssh_public_keys) : can(regex("^[a-z][a-z0-9-]{0,29}$", name))])
    error_message = "ssh_public_keys: names have small letters, digits and hyphens, a letter first."
  }
}

variable "admin_user" {
  description = "The account to log in with; it may become root by sudo."
  type        = string
  default     = "ops"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,29}$", var.admin_user)) && !contains(["root", "postgres", "debian", "daemon", "nobody"], var.admin_user)
    error_message = "admin_user: small letters, digits and hyphens, a letter first, and no account that Debian or PostgreSQL has."
  }
}

variable "operator_cidrs" {
  description = "IPv4 networks from which people and their tools reach ssh (22) and the Kubernetes API (6443)."
  type        = set(string)

  validation {
    condition     = length(var.operator_cidrs) >= 1
    error_message = "operator_cidrs: one network at least, or nobody reaches the machines. Your own address: 203.0.113.7/32."
  }
  validation {
    condition     = alltrue([for cidr in var.operator_cidrs : can(cidrnetmask(cidr)) && try(cidrsubnet(cidr, 0, 0) == cidr, false)])
    error_message = "operator_cidrs: IPv4 networks with their length, host bits zero, such as 203.0.113.7/32 or 198.51.100.0/24."
  }
  validation {
    condition     = alltrue([for cidr in var.operator_cidrs : try(tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "operator_cidrs: wider than /16 is no allow-list. The whole internet (0.0.0.0/0) is refused on purpose."
  }
}

# The tunnel -------------------------------------------------------------------

variable "tunnel_network" {
  description = "Private IPv4 network of the WireGuard tunnel, /20 to /29. PostgreSQL is reached in it and nowhere else."
  type        = string
  default     = "10.99.0.0/24"

  validation {
    condition     = can(cidrnetmask(var.tunnel_network)) && try(cidrsubnet(var.tunnel_network, 0, 0) == var.tunnel_network, false)
    error_message = "tunnel_network: an IPv4 network with its length, host bits zero, such as 10.99.0.0/24."
  }
  validation {
    condition     = can(regex("^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.)", var.tunnel_network))
    error_message = "tunnel_network: a private network: in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
  }
  validation {
    condition     = try(tonumber(split("/", var.tunnel_network)[1]) >= 20 && tonumber(split("/", var.tunnel_network)[1]) <= 29, false)
    error_message = "tunnel_network: from /20 to /29."
  }
  validation {
    condition     = !can(regex("^10\\.4[23]\\.", var.tunnel_network))
    error_message = "tunnel_network: 10.42.0.0/16 and 10.43.0.0/16 are k3s's own, for pods and services."
  }
  validation {
    condition     = alltrue([for n in values(var.nodes) : try(n.number < pow(2, 32 - tonumber(split("/", var.tunnel_network)[1])) - 1, false)])
    error_message = "tunnel_network: too small for the highest number in nodes."
  }
}

variable "tunnel_port" {
  description = "UDP port of the tunnel."
  type        = number
  default     = 51820

  validation {
    condition     = var.tunnel_port >= 1024 && var.tunnel_port <= 65535 && var.tunnel_port == floor(var.tunnel_port) && (var.tunnel_port < 30000 || var.tunnel_port > 32767)
    error_message = "tunnel_port: 1024 to 65535, and not 30000 to 32767, which are Kubernetes' NodePorts."
  }
}

variable "tunnel_public_keys" {
  description = "Each node's WireGuard public key: wg genkey | tee private | wg pubkey."
  type        = map(string)

  validation {
    condition     = toset(keys(var.tunnel_public_keys)) == toset(keys(var.nodes))
    error_message = "tunnel_public_keys: one key for each of nodes, under the same names, and none besides."
  }
  validation {
    condition     = alltrue([for key in values(var.tunnel_public_keys) : can(regex("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", key))])
    error_message = "tunnel_public_keys: a WireGuard key has 44 characters and ends with =."
  }
  validation {
    condition     = length(distinct(values(var.tunnel_public_keys))) == length(var.tunnel_public_keys)
    error_message = "tunnel_public_keys: two nodes share a key; each needs its own."
  }
}

variable "tunnel_private_keys" {
  description = "Each node's WireGuard private key. It gets into the state and the machine's user data: see README.md on both."
  type        = map(string)
  sensitive   = true

  validation {
    condition     = toset(keys(var.tunnel_private_keys)) == toset(keys(var.nodes))
    error_message = "tunnel_private_keys: one key for each of nodes, under the same names, and none besides."
  }
  validation {
    condition     = alltrue([for key in values(var.tunnel_private_keys) : can(regex("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", key))])
    error_message = "tunnel_private_keys: a WireGuard key has 44 characters and ends with =."
  }
  validation {
    condition     = length(setintersection(toset(values(var.tunnel_private_keys)), toset(values(var.tunnel_public_keys)))) == 0
    error_message = "tunnel_private_keys: one of them stands among tunnel_public_keys as well: a private key was put where the public one belongs, or the other way round."
  }
}

variable "tunnel_peers" {
  description = "Machines other than the nodes that may use the tunnel: applications, a bot that runs elsewhere. cidr is where they come from, number the host part of their address in the tunnel."
  type = map(object({
    public_key = string
    number     = number
    cidr       = string
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.tunnel_peers) : can(regex("^[a-z][a-z0-9-]{0,29}$", name)) && !contains(keys(var.nodes), name)])
    error_message = "tunnel_peers: names have small letters, digits and hyphens, a letter first, and no node's name."
  }
  validation {
    condition     = alltrue([for p in values(var.tunnel_peers) : can(regex("^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", p.public_key)) && !contains(values(var.tunnel_public_keys), p.public_key)])
    error_message = "tunnel_peers: public_key has 44 characters and ends with =, and is no node's."
  }
  validation {
    condition     = length(distinct(concat([for n in values(var.nodes) : n.number], [for p in values(var.tunnel_peers) : p.number]))) == length(var.nodes) + length(var.tunnel_peers)
    error_message = "tunnel_peers: a number is taken by another peer or a node; each has its own address in the tunnel."
  }
  validation {
    condition     = alltrue([for p in values(var.tunnel_peers) : try(p.number >= 1 && p.number == floor(p.number) && p.number < pow(2, 32 - tonumber(split("/", var.tunnel_network)[1])) - 1, false)])
    error_message = "tunnel_peers: number is a whole number from 1 on, within tunnel_network."
  }
  validation {
    condition     = alltrue([for p in values(var.tunnel_peers) : can(cidrnetmask(p.cidr)) && try(cidrsubnet(p.cidr, 0, 0) == p.cidr && tonumber(split("/", p.cidr)[1]) >= 16, false)])
    error_message = "tunnel_peers: cidr is an IPv4 network, /16 or smaller, host bits zero, such as 198.51.100.9/32."
  }
}

# k3s --------------------------------------------------------------------------

variable "k3s" {
  description = "The k3s to install: its version, and the SHA-256 of the amd64 binary of that release and of install.sh at that tag. README.md says how to look them up. A machine that gets anything else doesn't come up."
  type = object({
    version        = string
    binary_sha256  = string
    install_sha256 = string
  })
  default = {
    version        = "v1.36.5+k3s1"
    binary_sha256  = "d73847bcd3c5fccef0115b372e2f9a91f3032dc84bbf71518a4617565294d313"
    install_sha256 = "46177d4c99440b4c0311b67233823a8e8a2fc09693f6c89af1a7161e152fbfad"
  }

  validation {
    condition     = can(regex("^v1\\.[0-9]{2}\\.[0-9]{1,2}\\+k3s[0-9]$", var.k3s.version))
    error_message = "k3s: version is a release's tag, such as v1.36.5+k3s1; no channel and no \"latest\", which mean another program each day."
  }
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.k3s.binary_sha256)) && can(regex("^[0-9a-f]{64}$", var.k3s.install_sha256))
    error_message = "k3s: binary_sha256 and install_sha256 are 64 small hexadecimal digits each."
  }
  validation {
    condition     = var.k3s.binary_sha256 != var.k3s.install_sha256
    error_message = "k3s: binary_sha256 and install_sha256 are the same; one of them is of the wrong file."
  }
}

# What clients connect to ------------------------------------------------------

variable "dns" {
  description = "The record that clients connect to, in a zone that Vultr's DNS already serves. null: none; a connection string with both hosts does without."
  type = object({
    domain = string
    name   = string
    ttl    = optional(number, 60) # seconds
  })
  default = null

  validation {
    condition     = var.dns == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.dns.domain))
    error_message = "dns: domain is a zone, such as example.com."
  }
  validation {
    condition     = var.dns == null || can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", var.dns.name))
    error_message = "dns: name is the part before the zone, such as orders or db.orders."
  }
  validation {
    condition     = var.dns == null || try(var.dns.ttl >= 60 && var.dns.ttl <= 3600, false)
    error_message = "dns: ttl is 60 to 3600 seconds; clients find the new primary that much later."
  }
}

# What feeds the bot's configuration -------------------------------------------

variable "pair" {
  description = "The pair of which the output bot_config speaks: its name, the database, and which two nodes it stands on (all of nodes when there are two)."
  type = object({
    name     = string
    database = string
    nodes    = optional(list(string))
  })
  default = { name = "orders", database = "orders" }

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,39}$", var.pair.name)) && can(regex("^[a-z_][a-z0-9_]{0,62}$", var.pair.database))
    error_message = "pair: name has small letters, digits, hyphens and underscores, 40 at most; database small letters, digits and underscores, a letter first."
  }
  validation {
    condition     = var.pair.nodes == null ? length(var.nodes) == 2 : try(length(distinct(var.pair.nodes)) == 2 && alltrue([for n in var.pair.nodes : contains(keys(var.nodes), n)]), false)
    error_message = "pair: nodes names two different ones of nodes; it may be left out only when there are exactly two."
  }
}
