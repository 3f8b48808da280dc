package main

const examiner = "./internal/doctor"

// What examines a deployment from outside.
var outsideWeakenings = []weakening{
	{"the doctor's password goes by plain http", "internal/doctor/doctor.go",
		`false, []string{kindScheme}, (*exam).checkPost`,
		`false, nil, (*exam).checkPost`,
		examiner, "TestThePasswordGoesNowhereElse"},
	{"the doctor's password follows a redirect", "internal/doctor/client.go",
		"return http.ErrUseLastResponse",
		"return nil",
		examiner, "TestARedirectedSignInIsNotFollowed"},
	{"the doctor tells what a cookie holds", "internal/doctor/jar.go",
		`"=" + hide(c.value)`,
		`"=" + c.value`,
		examiner, "TestAFieldIsShownWithoutItsValue"},
	{"the doctor tells a password that a server says back", "internal/doctor/doctor.go",
		`if pw := string(e.cfg.Password); pw != "" {`,
		`if pw := string(e.cfg.Password); false {`,
		examiner, "TestAReportTellsNoPasswordThatAServerRepeats"},
	{"the doctor leaves its session", "internal/doctor/way.go",
		"if e.session == nil {\n\t\treturn true",
		"if true {\n\t\treturn true",
		examiner, "TestAnInterruptedExaminationEndsItsSession"},
	{"the doctor's jar takes a __Host- cookie with a domain", "internal/doctor/jar.go",
		`(!c.secure || c.domain != "" || c.path != "/")`,
		`(!c.secure || c.path != "/")`,
		examiner, "TestTheJarIsAsStrictAsBrowsers"},
}
