/** The colours of nodes. @module */

/** Colours that can be told apart, also by those who see fewer of them. */
const COLORS = [
  "#4e79c4",
  "#e08a2e",
  "#3f9e6e",
  "#c45a9b",
  "#8a6fd1",
  "#2aa3b5",
  "#b5a02a",
  "#c9564f",
];

export function colorOf(index: number): string {
  return COLORS[index % COLORS.length] ?? "#888";
}
