package approvals

// FactorRule says whether an approval needs a one-time code besides the channel's
// own proof of who voted.
type FactorRule string

// The rules. The zero value is FactorOff.
const (
	FactorOff      FactorRule = "off"
	FactorOptional FactorRule = "optional" // of those who are enrolled
	FactorRequired FactorRule = "required" // of everybody: who isn't enrolled can't approve
)

// On says whether codes are asked for at all.
func (f FactorRule) On() bool { return f == FactorOptional || f == FactorRequired }
