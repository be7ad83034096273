/* version: the engine's own version, the same word in the journal, the papers and on the line. */
#ifndef ENGINE_HOST_VERSION_H
#define ENGINE_HOST_VERSION_H

#define ENGINE_VERSION "0.1.0"

#endif
