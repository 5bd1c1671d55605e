package manual

// Configuration is pmilter.toml(5), made of the README's section of that name, which a
// test of internal/house holds against the program.
func Configuration(readme string) Page {
	return Page{
		Name: "pmilter.toml", Section: 5, About: "configuration of pmilterd",
		Body: "# DESCRIPTION\n" +
			"The file is TOML. `pmilterd check` says what is wrong with it, and what will be served.\n\n" +
			Section(readme, "Configuration") +
			"# FILES\n" +
			Entry("/etc/pmilter/pmilter.toml", "where the server looks last") +
			Entry("/usr/share/pmilter/filters, /usr/share/pmilter/jobs",
				"scripts to use; each says at its top what it reads from `[vars]`") +
			"# SEE ALSO\n**pmilterd(1)**, **pmilterd-check(1)**, **pmilterd-run(1)**\n",
	}
}
