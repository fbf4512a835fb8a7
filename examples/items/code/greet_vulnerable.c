#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void greet(char *input)
{
    char name[16];
    char cmd[64];
    strcpy(name, input);
    sprintf(cmd, "echo Hello %s", name);
    system(cmd);
    printf(name);
}

int main(int argc, char **argv)
{
    char buf[32];
    gets(buf);
    greet(buf);
    char *p = malloc(10);
    free(p);
    strcpy(p, argv[1]);
    return 0;
}
