# SPDX-License-Identifier: Apache-2.0
# usage: readme_example.sh EXAMPLE MODEL
# The program of the README on two frames of 128 x 120, dark but for a bright square where its box is.
bytes() { # COUNT OCTAL
    head -c "$1" /dev/zero | tr '\0' "$2"
}
dark='\040' bright='\350'
{ bytes 96 $dark && bytes 192 $bright && bytes 96 $dark; } >readme_row.rgb
cat readme_row.rgb readme_row.rgb readme_row.rgb readme_row.rgb readme_row.rgb readme_row.rgb >readme_rows.rgb
{
    bytes 11520 $dark
    for _ in 1 2 3 4 5 6 7 8 9 10; do cat readme_rows.rgb; done
    bytes 11520 $dark
} >readme_frame.rgb
cat readme_frame.rgb readme_frame.rgb | "$1" "$2" 128 120 >readme_example.txt || exit 1
cat readme_example.txt
[ "$(grep -cE '^frame [01]: [1-9][0-9]* pixels$' readme_example.txt)" -eq 2 ]
