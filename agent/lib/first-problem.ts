/** Problems, one per line. A first line that ends in a colon is a heading and belongs to the first problem. */
export function splitProblems(text: string): string[] {
  const lines = text.split('\n');
  const [heading = '', first, ...more] = lines;
  return heading.endsWith(':') && first !== undefined ? [`${heading} ${first}`, ...more] : lines;
}

/** The first problem, and how many follow. */
export function firstProblem(text: string): string {
  const [first = '', ...more] = splitProblems(text);
  return more.length > 0 ? `${first} (and ${more.length} more)` : first;
}
