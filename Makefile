# One command each. Everything installs what it needs by itself.
SWIFT ?= swift
PREFIX ?= /usr
DESTDIR ?=
RELEASE = .build/release
# Where zsh looks: Debian keeps site-functions for what is installed in /usr/local.
ZSH_COMPLETIONS = zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
export USERDRIVER_BIN = $(CURDIR)/$(RELEASE)

.PHONY: build run test test-vm lint format fuzz campaign bench man udev install install-files clean dependencies

dependencies:
	@Scripts/dependencies

# Release executables with the Swift runtime linked in, and the drivers' bundles beside them.
build: dependencies
	$(SWIFT) build -c release --static-swift-stdlib
	@Scripts/bundles $(RELEASE)

run: build
	$(RELEASE)/userdriver up --emulate webcam

# Unit tests are debug builds; the end-to-end tests among them drive the release executables.
test: build
	$(SWIFT) test

# The scenarios in Tests/vm, in virtual machines with a real USB stack. SCENARIOS="NAME…" runs some of them.
SCENARIOS ?=
test-vm: build
	@Scripts/test-vm $(SCENARIOS)

lint:
	$(SWIFT) format lint --strict --recursive --parallel --configuration .swift-format Package.swift Sources Tests
	@Scripts/lint

format:
	$(SWIFT) format --in-place --recursive --parallel --configuration .swift-format Package.swift Sources Tests

# A minute for each parser, or FUZZ_SECONDS.
FUZZ_SECONDS ?= 60
fuzz: build
	$(RELEASE)/fuzz all --seconds $(FUZZ_SECONDS) --corpus Tests/Corpus

# FAULTS injected into the drivers of emulated cameras while clients watch; CAMPAIGN for more (see campaign --help).
FAULTS ?= 300
SEED ?= 1
campaign: build
	$(RELEASE)/campaign --bin $(CURDIR)/$(RELEASE) --faults $(FAULTS) --seed $(SEED) $(CAMPAIGN)

bench: build
	$(RELEASE)/benchmarks

# The manual pages in Docs/man, from the commands' own help.
man: build
	$(SWIFT) build --product generate-manual
	.build/debug/generate-manual $(RELEASE)/userdriver --output-directory Docs/man --multi-page
	.build/debug/generate-manual $(RELEASE)/userdriverd --output-directory Docs/man
	rm -f Docs/man/userdriver.help.1
	Scripts/tidy-man Docs/man/*.1

# With DESTDIR nothing but files is installed; whoever unpacks them runs lib/userdriver/activate. `install-files` takes what is built.
install: build install-files

install-files:
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/userdriver/drivers $(DESTDIR)$(PREFIX)/share/man/man1
	# The key that signed this build: its drivers are trusted by the daemon that is installed with them.
	install -m 644 $(RELEASE)/allowed_signers $(DESTDIR)$(PREFIX)/lib/userdriver/
	install -m 644 Docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	for shell in bash:bash-completion/completions/userdriver zsh:$(ZSH_COMPLETIONS)/_userdriver fish:fish/vendor_completions.d/userdriver.fish; do \
		$(RELEASE)/userdriver --generate-completion-script $${shell%%:*} > $(RELEASE)/completions && \
		install -D -m 644 $(RELEASE)/completions $(DESTDIR)$(PREFIX)/share/$${shell#*:} || exit 1; done
	install -m 755 $(RELEASE)/userdriver $(RELEASE)/userdriverd $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(RELEASE)/usbip-port $(DESTDIR)$(PREFIX)/lib/userdriver/
	for bundle in $(RELEASE)/*.driver; do \
		install -d $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle) && \
		install -m 644 $$bundle/driver.yaml $$bundle/driver.yaml.sig $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/ && \
		install -m 755 $$bundle/*-driver $(DESTDIR)$(PREFIX)/lib/userdriver/drivers/$$(basename $$bundle)/ || exit 1; done
	install -D -m 755 Scripts/activate $(DESTDIR)$(PREFIX)/lib/userdriver/activate
	install -D -m 644 Udev/70-userdriver.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/70-userdriver.rules
	install -D -m 644 Systemd/userdriver.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/userdriver.conf
	install -D -m 644 Systemd/userdriver.yaml $(DESTDIR)$(PREFIX)/share/userdriver/userdriver.yaml
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in userdriverd.service userdriverd.socket userdriver-give-back.service; do \
		sed 's:/usr/bin/userdriverd:$(PREFIX)/bin/userdriverd:' Systemd/$$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; done
	[ -n "$(DESTDIR)" ] || $(PREFIX)/lib/userdriver/activate

# udev's rules in Udev, from the drivers' match tables.
udev: build
	$(RELEASE)/userdriverd --print-udev-rules --drivers $(RELEASE) > Udev/70-userdriver.rules

clean:
	rm -rf .build
