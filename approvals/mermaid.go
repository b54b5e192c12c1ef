package approvals

import (
	"fmt"
	"strings"
)

// Mermaid draws Transitions as a Mermaid state diagram, for the documentation.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, t := range Transitions() {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", node(t.From), t.To, t.Cause)
	}
	for _, s := range States() {
		if s.Ended() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	return b.String()
}

// node is the diagram's name of a state; where there is none yet it begins.
func node(s State) string {
	if s == "" {
		return "[*]"
	}
	return string(s)
}
