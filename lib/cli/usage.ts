/** A command called wrongly: the message goes to the user together with the way to the command's help. */
export class UsageError extends Error {}
