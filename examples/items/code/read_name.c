#include <stdio.h>
#include <string.h>

/* Reads one line into name, without its line end. Returns 0, or -1 when there is
 * no line or it does not fit; name is then an empty string. */
int read_name(FILE *in, char *name, size_t size)
{
    if (in == NULL || name == NULL || size == 0)
        return -1;
    name[0] = '\0';
    if (fgets(name, (int)size, in) == NULL)
        return -1;

    size_t length = strcspn(name, "\n");
    if (name[length] != '\n' && !feof(in)) {
        /* The line is longer than the buffer: skip its rest rather than cut it. */
        int c;
        while ((c = fgetc(in)) != EOF && c != '\n')
            ;
        name[0] = '\0';
        return -1;
    }
    name[length] = '\0';
    return 0;
}
