package vultrfake

// The answers' shapes, by the names of the OpenAPI document.

type instance struct {
	ID               string    `json:"id"`
	OS               string    `json:"os"`
	RAM              int       `json:"ram"`
	Disk             int       `json:"disk"`
	MainIP           string    `json:"main_ip"`
	VCPUCount        int       `json:"vcpu_count"`
	Region           string    `json:"region"`
	DefaultPassword  string    `json:"default_password"`
	DateCreated      string    `json:"date_created"`
	Status           string    `json:"status"`
	PowerStatus      string    `json:"power_status"`
	ServerStatus     string    `json:"server_status"`
	AllowedBandwidth int       `json:"allowed_bandwidth"`
	NetmaskV4        string    `json:"netmask_v4"`
	GatewayV4        string    `json:"gateway_v4"`
	V6Networks       []network `json:"v6_networks"`
	Hostname         string    `json:"hostname"`
	Label            string    `json:"label"`
	Tag              string    `json:"tag"`
	InternalIP       string    `json:"internal_ip"`
	KVM              string    `json:"kvm"`
	OSID             int       `json:"os_id"`
	AppID            int       `json:"app_id"`
	ImageID          string    `json:"image_id"`
	FirewallGroupID  string    `json:"firewall_group_id"`
	Features         []string  `json:"features"`
	Plan             string    `json:"plan"`
	Tags             []string  `json:"tags"`
}

type network struct {
	Network     string `json:"network"`
	MainIP      string `json:"main_ip"`
	NetworkSize int    `json:"network_size"`
}

type record struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Name     string `json:"name"`
	Data     string `json:"data"`
	Priority int    `json:"priority"`
	TTL      int    `json:"ttl"`
}

type meta struct {
	Total int   `json:"total"`
	Links links `json:"links"`
}

type links struct {
	Next string `json:"next"`
	Prev string `json:"prev"`
}

type failure struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
}
