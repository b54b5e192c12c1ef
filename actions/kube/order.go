package kube

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"twokey/actions"
)

// Keys of the order's ConfigMap: files of the folder that the server's pod
// mounts, which its guard reads.
const (
	orderKey = "order"
	aloneKey = "alone"
)

// changeOrder changes the order's ConfigMap on a fresh read; edit says whether
// it did.
func (m *Machine) changeOrder(ctx context.Context, edit func(*corev1.ConfigMap) bool) error {
	var c *corev1.ConfigMap
	return m.site.change(ctx, func(ctx context.Context) (bool, error) {
		var err error
		if c, err = m.site.configMap(ctx, m.opt.Order); err != nil {
			return false, err
		}
		return edit(c), nil
	}, func(ctx context.Context) error { return m.site.putConfigMap(ctx, c) })
}

// setKey writes one key of the order's ConfigMap, "" to remove it, and returns
// nil only when that was read back.
func (m *Machine) setKey(ctx context.Context, key, text string) error {
	err := m.changeOrder(ctx, func(c *corev1.ConfigMap) bool {
		if c.Data[key] == text {
			return false
		}
		if c.Data == nil {
			c.Data = map[string]string{}
		}
		if c.Data[key] = text; text == "" {
			delete(c.Data, key)
		}
		return true
	})
	if err != nil {
		return err
	}
	c, err := m.site.configMap(ctx, m.opt.Order)
	if err == nil && c.Data[key] != text {
		err = errAnswer("read ConfigMap "+m.site.opt.Namespace+"/"+m.opt.Order+" back", fmt.Sprintf("%s is %q, not %q as was written", key, c.Data[key], text))
	}
	return err
}

// give writes an order for the next start of the server. A pod that runs may see
// it only after a minute or two.
func (m *Machine) give(ctx context.Context, o actions.StartOrder) error {
	text, err := json.Marshal(o)
	if err != nil { // only strings and numbers
		panic(err)
	}
	return m.setKey(ctx, orderKey, string(text))
}

// aloneText is what the guard reads.
const aloneText = "alone, timeline %d"

// NoteAlone implements [actions.AloneKeeper]. A pod that is begun anew sees the
// note at once, a container that is begun again in the same pod perhaps only
// after a minute or two; until then it waits in recovery.
func (m *Machine) NoteAlone(ctx context.Context, timeline uint32) error {
	return m.setKey(ctx, aloneKey, fmt.Sprintf(aloneText, timeline))
}

// ForgetAlone implements [actions.AloneKeeper]. What a running pod has mounted
// may hold the note a minute or two longer; a server whose commits wait for its
// partner doesn't go by it any more.
func (m *Machine) ForgetAlone(ctx context.Context) error { return m.setKey(ctx, aloneKey, "") }
