"""Comma-separated lines, with quotes."""


def parse_line(line):
    """The fields of a line. A field in double quotes may hold commas; a doubled quote in it is one quote."""
    fields = []
    field = ""
    quoted = False
    for index, letter in enumerate(line):
        if letter == '"':
            if not quoted and line[index - 1 : index] == '"':
                field += '"'
            quoted = not quoted
        elif letter == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += letter
    fields.append(field)
    return fields


def parse(text):
    """Rows as dictionaries; the first line names the columns."""
    lines = text.splitlines()
    names = parse_line(lines[0])
    return [dict(zip(names, parse_line(line))) for line in lines[1:]]
