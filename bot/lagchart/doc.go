// Package lagchart draws a pair's replication lag as a PNG picture.
//
// What is not known is a gap in the line over a grey ground, never a zero. The
// picture has a ground of its own, so that it reads the same on a dark and on a
// light page; its three lines differ in colour, width and dash. It says nothing
// that the words beside it don't say as well.
//
// How it fails: with an error, when the drawing library does; whoever asked then
// gets the words alone.
package lagchart
