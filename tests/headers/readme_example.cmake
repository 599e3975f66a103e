# Takes the C program out of README.md.
file(READ ${README} text)
string(FIND "${text}" "```c\n" begin)
string(SUBSTRING "${text}" ${begin} -1 text)
string(SUBSTRING "${text}" 5 -1 text)
string(FIND "${text}" "```" end)
string(SUBSTRING "${text}" 0 ${end} text)
file(WRITE ${OUT} "${text}")
