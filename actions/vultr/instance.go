package vultr

import (
	"context"
	"errors"

	"github.com/vultr/govultr/v3"
)

// Instance is what the API says of one, for people.
type Instance struct {
	Label, Region string
	Power         string // running or stopped, in the API's words
	Busy          string // what the platform does with it just now, "" for nothing
}

// Instance looks at the fence's instance. It changes nothing.
func (f *Fence) Instance(ctx context.Context) (Instance, error) {
	seen, err := f.read(ctx)
	if err != nil {
		return Instance{}, err
	}
	i := Instance{Label: seen.Label, Region: seen.Region, Power: seen.PowerStatus}
	if _, err := powerOf(seen); err != nil {
		if busy, ok := errors.AsType[*busyError](err); ok {
			i.Busy = busy.status
		} else {
			return i, err
		}
	}
	return i, nil
}

// read asks for the instance, and takes no other's answer.
func (f *Fence) read(ctx context.Context) (*govultr.Instance, error) {
	what := "read instance " + f.instance
	var seen *govultr.Instance
	err := f.api.read(ctx, what, func(ctx context.Context, c *govultr.Client) (err error) {
		seen, _, err = c.Instance.Get(ctx, f.instance) //nolint:bodyclose // the library has closed it
		return err
	})
	if err != nil {
		return nil, err
	}
	if seen == nil || seen.ID != f.instance {
		return nil, &Error{What: what, Status: 200, Why: "the answer is not about this instance", Fix: fixAddress}
	}
	return seen, nil
}
