"""Pure decisions and formats: values in, values out, no I/O at all."""
