/** The engine's way in. */
import { program } from './program';

export = program;
