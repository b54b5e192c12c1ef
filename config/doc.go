// Package config reads the bot's one YAML file and refuses to start on
// anything in it that can't work.
//
// Reading has three stages, and the next begins only when the one before found
// nothing: the text is parsed; its shape is compared with the types of [Config]
// (unknown keys, a list where a text belongs, a duration without a unit); the
// values are judged, each for itself and then against one another. Every stage
// reports all that it found, so that a person repairs a file in one go.
//
// How it fails: [Parse] and [Load] return an [*Error] that lists a [Problem] for
// each thing wrong, with line, column, key, one sentence and mostly a hint.
// Nothing is guessed and nothing is ignored: a Config without an error is
// complete, with every default filled in.
//
// The file never holds a secret, only references ([Ref]) to environment
// variables and files, because error messages show its lines. A value that
// stands where a reference belongs is refused without being shown. Whether the
// references lead anywhere is known only on the machine that runs the bot:
// [Config.Secrets] reads them at start and names every one that is missing.
//
// Anchors, aliases, tags and a second document are refused: whoever reads this
// file in an emergency must find each value where it holds.
package config
